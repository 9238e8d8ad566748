//! How a request body is read: bounded in size and time, then its media type, then as JSON, then
//! against the published schema. What fails first is what the client is told.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::StreamExt;
use poem::{Request, RequestBody, http::StatusCode};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::ParseFromJSON,
};
use serde_json::Value;

use super::{
    json::MEDIA_TYPE,
    schema::{FieldErrors, Schemas},
};

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// A larger body gets a 413. In bytes.
    pub size: usize,
    /// A slower body gets a 408.
    pub time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            size: 64 * 1024,
            time: Duration::from_secs(10),
        }
    }
}

/// What [`Body`] reads with; the routes carry it as data.
#[derive(Debug)]
pub struct Reader {
    /// How much is read.
    pub limits: BodyLimits,
    /// What is accepted.
    pub schemas: Schemas,
}

/// A client that is still sending does not listen: this much is read past the limit, in bytes, so
/// that the 413 reaches it before the connection is closed.
const LINGER: usize = 1024 * 1024;

/// A request's body, checked against the schema of `T`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// Why a body was not taken.
#[derive(Clone, Debug)]
pub enum Rejection {
    /// It did not arrive in time, or not whole.
    TooSlow,
    /// It is larger than [`BodyLimits::size`].
    TooLarge,
    /// It is not declared as JSON; here is what it is declared as.
    UnsupportedMediaType(String),
    /// It is not JSON; here is where it fails.
    Malformed(String),
    /// It is JSON, but not what the schema asks for.
    Invalid(FieldErrors),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow => f.write_str("The request body did not arrive in time."),
            Self::TooLarge => f.write_str("The request body is too large."),
            Self::UnsupportedMediaType(given) => {
                write!(f, "Unsupported media type \"{given}\" in request.")
            }
            Self::Malformed(place) => write!(f, "JSON parse error - {place}"),
            Self::Invalid(_) => f.write_str("The request body does not fit its schema."),
        }
    }
}

impl std::error::Error for Rejection {}

impl poem::error::ResponseError for Rejection {
    /// Only for an operation without answers of its own; each of ours turns a rejection into one.
    fn status(&self) -> StatusCode {
        match self {
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: MEDIA_TYPE,
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let Some(Reader { limits, schemas }) = request.data::<Arc<Reader>>().map(AsRef::as_ref)
        else {
            return Err(ours("the routes carry no Reader"));
        };
        let bytes = tokio::time::timeout(limits.time, read(request, body.take()?, limits.size))
            .await
            .map_err(|_| Rejection::TooSlow)??;

        // No body at all counts as an empty object, whatever it is declared as.
        let text = if bytes.is_empty() {
            "{}"
        } else {
            check_media_type(request)?;
            std::str::from_utf8(&bytes).map_err(|error| {
                Rejection::Malformed(format!("invalid UTF-8 after byte {}", error.valid_up_to()))
            })?
        };
        let value = parse(text)?;
        schemas
            .get(&T::name())
            .ok_or_else(|| ours("the document lacks the schema of a request"))?
            .check(&value, text)
            .map_err(Rejection::Invalid)?;
        T::parse_from_json(Some(value))
            .map(Self)
            .map_err(|_| ours("a type refuses what its schema accepts"))
    }
}

fn ours(fault: &'static str) -> poem::Error {
    poem::Error::from_string(fault, StatusCode::INTERNAL_SERVER_ERROR)
}

/// Reads JSON: of duplicate keys, the last one wins.
pub(super) fn parse(text: &str) -> Result<Value, Rejection> {
    serde_json::from_str(text).map_err(|error| Rejection::Malformed(error.to_string()))
}

async fn read(request: &Request, body: poem::Body, limit: usize) -> Result<Vec<u8>, Rejection> {
    let declared = request
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or_default();
    // A client that waits for `100 Continue` listens already, and is spared the sending.
    if declared > limit && (declared > limit + LINGER || request.header("expect").is_some()) {
        return Err(Rejection::TooLarge);
    }
    let mut bytes = Vec::with_capacity(declared.min(limit));
    let mut excess = 0;
    let mut chunks = std::pin::pin!(body.into_bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Rejection::TooSlow)?;
        if excess == 0 && bytes.len() + chunk.len() <= limit {
            bytes.extend_from_slice(&chunk);
        } else {
            excess += chunk.len();
        }
        if excess > LINGER {
            break;
        }
    }
    if excess > 0 {
        Err(Rejection::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// Only the part before the first `;` decides; parameters such as `charset` are accepted.
fn check_media_type(request: &Request) -> Result<(), Rejection> {
    let given = request
        .headers()
        .get("content-type")
        .map_or(&[][..], |value| value.as_bytes());
    let essence = given.split(|byte| *byte == b';').next().unwrap_or_default();
    if essence
        .trim_ascii()
        .eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
    {
        return Ok(());
    }
    // A header is bytes; one that is not ASCII is read as Latin-1 (RFC 9110 section 5.5).
    let given = given.iter().map(|byte| char::from(*byte)).collect();
    Err(Rejection::UnsupportedMediaType(given))
}
