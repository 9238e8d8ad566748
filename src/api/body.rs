//! Reads and validates request bodies: size and time first, then the media type, the JSON, and the published schema. The first failure
//! determines the response.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Collected, LengthLimitError, Limited, combinators::BoxBody};
use hyper::body::Bytes;
use poem::{Request, RequestBody, http::StatusCode};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::ParseFromJSON,
};
use serde_json::{Value, value::RawValue};
use tokio::time::timeout;

use super::{
    json::MEDIA_TYPE,
    rejection::Rejection,
    schema::{BodyValidator, Validators},
};

/// Limits of request bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body, in bytes. Larger bodies get 413.
    pub max_bytes: usize,
    /// The time for reading a body. Slower bodies get 408.
    pub read_timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024,
            read_timeout: Duration::from_secs(10),
        }
    }
}

/// The settings of [`Body`], which are in the data of each request.
#[derive(Debug)]
pub struct RequestContext {
    /// Limits of bodies.
    pub limits: BodyLimits,
    /// Validators of all schemas.
    pub validators: Validators,
}

/// A request body that matches the schema of `T`.
pub struct Body<T>(pub T);

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
        let Some(context) = request.data::<Arc<RequestContext>>() else {
            return Err(internal_error("the request carries no RequestContext"));
        };
        let schema = context
            .validators
            .get(&T::name())
            .ok_or_else(|| internal_error("the document lacks the schema of a request"))?;
        let bytes = read(request, body.take()?, &context.limits).await?;

        // Without a body, every media type is accepted, and the body counts as an empty object.
        let text = if bytes.is_empty() {
            "{}"
        } else {
            check_media_type(request)?;
            std::str::from_utf8(&bytes).map_err(|error| {
                Rejection::Malformed(format!("invalid UTF-8 after byte {}", error.valid_up_to()))
            })?
        };
        T::parse_from_json(Some(schema.parse(text)?))
            .map(Self)
            .map_err(|_| internal_error("a type rejects a value that its schema accepts"))
    }
}

fn internal_error(message: &'static str) -> poem::Error {
    poem::Error::from_string(message, StatusCode::INTERNAL_SERVER_ERROR)
}

impl BodyValidator {
    /// Parses and validates a body.
    ///
    /// # Errors
    /// If the body is not JSON, or does not match the schema.
    pub fn parse(&self, text: &str) -> Result<Value, Rejection> {
        let value = parse(text, self.fields())?;
        self.check(&value, text).map_err(Rejection::Invalid)?;
        Ok(value)
    }
}

/// Parses JSON. Of an object, only these fields are parsed; other fields must be valid JSON and are ignored. The last of several
/// duplicate keys counts.
pub(super) fn parse(text: &str, fields: &[String]) -> Result<Value, Rejection> {
    parse_fields(text, fields).map_err(|error| Rejection::Malformed(error.to_string()))
}

fn parse_fields(text: &str, fields: &[String]) -> Result<Value, serde_json::Error> {
    if !text.trim_ascii_start().starts_with('{') {
        return value(serde_json::from_str(text)?, text);
    }
    let mut given: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    let given = fields.iter().filter_map(|name| given.remove_entry(name));
    given
        .map(|(name, raw)| Ok((name, value(raw, text)?)))
        .collect::<Result<_, _>>()
        .map(Value::Object)
}

/// Parses one value. `raw` is a part of `text`, and errors contain the line and column of `text`.
///
/// A number that does not fit into an `f64` still has the type of a number.
fn value(raw: &RawValue, text: &str) -> Result<Value, serde_json::Error> {
    let is_number = raw
        .get()
        .starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match serde_json::from_str(raw.get()) {
        Err(_) if is_number => Ok(f64::MAX.into()),
        Err(_) => serde_json::from_str(&blank_before(raw, text)),
        parsed => parsed,
    }
}

/// Pads `raw` with white space, so that a parse error has the line and column of `text`.
fn blank_before(raw: &RawValue, text: &str) -> String {
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    let blank = text.bytes().take(start);
    let blank = blank.map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    blank.chain(raw.get().chars()).collect()
}

/// Reads a whole body.
async fn read(
    request: &Request,
    body: poem::Body,
    limits: &BodyLimits,
) -> Result<Bytes, Rejection> {
    let declared = request.header("content-length");
    let declared = declared.and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > limits.max_bytes) {
        return Err(Rejection::PayloadTooLarge);
    }
    // `into_bytes_limit` of poem has a buffer of 4 KiB in its future, which is copied between the layers of each request.
    let whole = Limited::new(BoxBody::from(body), limits.max_bytes).collect();
    let whole = timeout(limits.read_timeout, whole).await;
    let whole = whole.map_err(|_| Rejection::BodyTimeout)?;
    whole.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Rejection::PayloadTooLarge
        } else {
            Rejection::Malformed("the body is cut short".to_owned())
        }
    })
}

/// Checks the media type. Parameters such as `charset` are accepted.
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
    // A header that is not ASCII is decoded as Latin-1 (RFC 9110 section 5.5).
    let given = given.iter().map(|byte| char::from(*byte)).collect();
    Err(Rejection::UnsupportedMediaType(given))
}
