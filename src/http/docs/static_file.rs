//! A file in memory, plain and compressed, with `ETag` and 304.

use data_encoding::HEXLOWER;
use hyper::body::Bytes;
use poem::{
    Response,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            VARY,
        },
    },
    web::headers::{ETag, Header, IfNoneMatch},
};
use sha2::{Digest, Sha256};

pub(super) struct StaticFile {
    media_type: HeaderValue,
    cache_control: HeaderValue,
    plain: Variant,
    gzip: Option<Variant>,
}

struct Variant {
    bytes: Bytes,
    /// A strong `ETag` of the variant (RFC 9110 section 8.8.3.3).
    etag: HeaderValue,
}

impl Variant {
    fn new(bytes: Bytes) -> Self {
        let hash = HEXLOWER.encode(&Sha256::digest(&bytes)[..16]);
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).expect("hexadecimal is ASCII");
        Self { bytes, etag }
    }
}

impl StaticFile {
    pub(super) fn new(
        media_type: &str,
        cache_control: &'static str,
        plain: Bytes,
        gzip: Option<Bytes>,
    ) -> Self {
        Self {
            media_type: HeaderValue::from_str(media_type).expect("media types are ASCII"),
            cache_control: HeaderValue::from_static(cache_control),
            plain: Variant::new(plain),
            gzip: gzip.map(Variant::new),
        }
    }

    /// Returns the response to a GET or HEAD with these headers: the variant that the client prefers, or 304 if the client has it.
    pub(super) fn response(&self, request: &HeaderMap) -> Response {
        let zipped = self.gzip.as_ref().filter(|_| prefers_gzip(request));
        let variant = zipped.unwrap_or(&self.plain);
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(ETAG, variant.etag.clone());
        if self.gzip.is_some() {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if variant.is_known_to(request) {
            response.set_status(StatusCode::NOT_MODIFIED);
            return response;
        }
        headers.insert(CONTENT_TYPE, self.media_type.clone());
        if zipped.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response.set_body(variant.bytes.clone());
        response
    }
}

impl Variant {
    /// Returns whether `If-None-Match` contains the `ETag`. Invalid headers are ignored.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let mut known = request.get_all(IF_NONE_MATCH).iter().peekable();
        let mut etag = std::iter::once(&self.etag);
        known.peek().is_some()
            && IfNoneMatch::decode(&mut known)
                .ok()
                .zip(ETag::decode(&mut etag).ok())
                .is_some_and(|(known, etag)| !known.precondition_passes(&etag))
    }
}

/// Returns whether the client accepts gzip, and does not prefer the plain variant (RFC 9110 section 12.5.3).
fn prefers_gzip(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let (mut gzip, mut identity, mut others) = (None, None, None);
    for element in values.flat_map(|value| value.split(',')) {
        let (coding, weight) = element.split_once(';').unwrap_or((element, "q=1"));
        let weight = thousandths(weight.trim()).unwrap_or(0);
        let known = match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut others,
            _ => continue,
        };
        *known = Some(known.unwrap_or(0).max(weight));
    }
    let gzip = gzip.or(others).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// Parses a weight such as `q=0.5` into thousandths (RFC 9110 section 12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (name, value) = weight.split_once('=')?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_valid = name.eq_ignore_ascii_case("q")
        && matches!(whole, "0" | "1")
        && fraction.len() <= 3
        && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let value = format!("{whole}{fraction:0<3}").parse().ok()?;
    (is_valid && value <= 1000).then_some(value)
}
