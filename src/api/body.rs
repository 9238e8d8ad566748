//! How a request body is read: bounded in size and time, then its media type, then as JSON, then
//! against the published schema. What fails first is what the client is told.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use poem::{Request, RequestBody, http::StatusCode};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::ParseFromJSON,
};
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{
    json::MEDIA_TYPE,
    rejection::Rejection,
    schema::{Schema, Schemas},
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

/// Reads the bodies of requests. [`Body`] finds it in the request's data.
#[derive(Debug)]
pub struct Reader {
    /// How much is read.
    pub limits: BodyLimits,
    /// What is accepted.
    pub schemas: Schemas,
}

/// A request's body, checked against the schema of `T`.
#[derive(Debug)]
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
        let Some(reader) = request.data::<Arc<Reader>>() else {
            return Err(ours("the request carries no Reader"));
        };
        let schema = reader
            .schemas
            .get(&T::name())
            .ok_or_else(|| ours("the document lacks the schema of a request"))?;
        let bytes = read(request, body.take()?, &reader.limits).await?;

        // No body at all counts as an empty object, whatever it is declared as.
        let text = if bytes.is_empty() {
            "{}"
        } else {
            check_media_type(request)?;
            std::str::from_utf8(&bytes).map_err(|error| {
                Rejection::Malformed(format!("invalid UTF-8 after byte {}", error.valid_up_to()))
            })?
        };
        T::parse_from_json(Some(schema.read(text)?))
            .map(Self)
            .map_err(|_| ours("a type refuses what its schema accepts"))
    }
}

fn ours(fault: &'static str) -> poem::Error {
    poem::Error::from_string(fault, StatusCode::INTERNAL_SERVER_ERROR)
}

impl Schema {
    /// Reads a body, and checks it.
    ///
    /// # Errors
    /// When it is not JSON, or not what the schema asks for.
    pub fn read(&self, text: &str) -> Result<Value, Rejection> {
        let value = parse(text, self.fields())?;
        self.check(&value, text).map_err(Rejection::Invalid)?;
        Ok(value)
    }
}

/// Reads JSON; of an object, no more than the fields that are asked for. The others are ignored, so
/// that they need only be well-formed. Of duplicate keys, the last one wins.
pub(super) fn parse(text: &str, fields: &[String]) -> Result<Value, Rejection> {
    parse_fields(text, fields).map_err(|error| Rejection::Malformed(error.to_string()))
}

fn parse_fields(text: &str, fields: &[String]) -> Result<Value, serde_json::Error> {
    if !text.trim_ascii_start().starts_with('{') {
        return value(serde_json::from_str(text)?, text);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let given = reader.deserialize_map(Asked(fields))?;
    reader.end()?;
    let asked = fields.iter().zip(given);
    let asked = asked.filter_map(|(name, raw)| Some((name.clone(), raw?)));
    asked
        .map(|(name, raw)| Ok((name, value(raw, text)?)))
        .collect::<Result<_, _>>()
        .map(Value::Object)
}

/// An object's fields of these names, as they stand there.
struct Asked<'a>(&'a [String]);

impl<'de> Visitor<'de> for Asked<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut given = vec![None; self.0.len()];
        while let Some(name) = object.next_key::<String>()? {
            match self.0.iter().position(|asked| *asked == name) {
                Some(field) => given[field] = Some(object.next_value()?),
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(given)
    }
}

/// A number may be larger than any that the machine has: it is a number all the same.
///
/// `raw` is a part of `text`: an error names its line and column in `text`.
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

/// Reads a body whole, unless it is too large or too slow. Whatever else is wrong with it is told at once.
async fn read(
    request: &Request,
    body: poem::Body,
    limits: &BodyLimits,
) -> Result<Vec<u8>, Rejection> {
    let declared = request
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or_default();
    if declared > limits.size {
        return Err(Rejection::TooLarge);
    }
    let whole = async {
        let mut bytes = Vec::with_capacity(declared);
        let mut chunks = pin!(body.into_bytes_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_| Rejection::Malformed("the body is cut short".to_owned()))?;
            if bytes.len() + chunk.len() > limits.size {
                return Err(Rejection::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    tokio::time::timeout(limits.time, whole)
        .await
        .unwrap_or(Err(Rejection::TooSlow))
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
