//! A file in memory with `ETag` and 304, and with gzip for clients that accept it.

use std::{io::Read, sync::OnceLock};

use data_encoding::HEXLOWER;
use flate2::read::GzDecoder;
use hyper::body::Bytes;
use poem::{
    Response,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
    web::headers::{ETag, HeaderMapExt, IfNoneMatch},
};
use sha2::{Digest, Sha256};

pub(in crate::http) struct StaticFile {
    media_type: HeaderValue,
    cache_control: HeaderValue,
    content: Content,
    /// The hash of the content.
    hash: String,
}

pub(in crate::http) enum Content {
    Plain(Bytes),
    /// The plain copy is created for the first client that does not accept gzip. All browsers accept gzip, and plain copies use 2 MiB.
    Gzip {
        gzip: Bytes,
        plain: OnceLock<Bytes>,
    },
}

impl Content {
    pub(super) fn gzip(gzip: Bytes) -> Self {
        let plain = OnceLock::new();
        Self::Gzip { gzip, plain }
    }
}

impl StaticFile {
    pub(in crate::http) fn new(media_type: &str, cache_control: &str, content: Content) -> Self {
        let (Content::Plain(bytes) | Content::Gzip { gzip: bytes, .. }) = &content;
        Self {
            media_type: HeaderValue::from_str(media_type).expect("media types are ASCII"),
            cache_control: HeaderValue::from_str(cache_control).expect("directives are ASCII"),
            hash: HEXLOWER.encode(&Sha256::digest(bytes)[..16]),
            content,
        }
    }

    /// Returns the response to a GET or HEAD with these headers: gzip if the client accepts it, or 304 if the client has it.
    pub(in crate::http) fn response(&self, request: &HeaderMap) -> Response {
        let has_gzip = matches!(self.content, Content::Gzip { .. });
        let is_gzip = has_gzip && accepts_gzip(request);
        // A strong `ETag` of the variant (RFC 9110 section 8.8.3.3).
        let variant = if is_gzip { "-gzip" } else { "" };
        let etag = format!("\"{}{variant}\"", self.hash).parse::<ETag>();
        let etag = etag.expect("hexadecimal is valid in an ETag");
        let known = request.typed_get::<IfNoneMatch>();
        let is_known = known.is_some_and(|known| !known.precondition_passes(&etag));
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.typed_insert(etag);
        if has_gzip {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if is_known {
            response.set_status(StatusCode::NOT_MODIFIED);
            return response;
        }
        headers.insert(CONTENT_TYPE, self.media_type.clone());
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response.set_body(match &self.content {
            Content::Gzip { gzip, plain } if !is_gzip => {
                plain.get_or_init(|| unzipped(gzip)).clone()
            }
            Content::Gzip { gzip: bytes, .. } | Content::Plain(bytes) => bytes.clone(),
        });
        response
    }
}

pub(super) fn unzipped(gzip: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    let read = GzDecoder::new(gzip).read_to_end(&mut plain);
    read.expect("the files in the binary are complete");
    plain.into()
}

/// Returns whether the client accepts gzip (RFC 9110 section 12.5.3). Weights other than 0 do not matter, because each client that
/// accepts gzip is faster with it.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let text = values.filter_map(|value| value.to_str().ok());
    let text = text.collect::<Vec<_>>().join(",").to_ascii_lowercase();
    let is_accepted = |codings: &[&str]| {
        text.split(',').find_map(|element| {
            let (coding, weight) = element.split_once(';').unwrap_or((element, "q=1"));
            let weight = weight.trim().strip_prefix("q=")?.parse::<f32>().ok()?;
            codings.contains(&coding.trim()).then_some(weight > 0.0)
        })
    };
    is_accepted(&["gzip", "x-gzip"])
        .or_else(|| is_accepted(&["*"]))
        .unwrap_or(false)
}
