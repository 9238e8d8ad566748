//! Access by web pages of other origins (CORS, Fetch standard).
//!
//! Requests of other origins are handled, but the response has no CORS headers, so the browser hides the response from the page. poem's
//! middleware rejects such requests, which would break clients that are not browsers.

use std::collections::HashSet;

use poem::{
    Request,
    http::{
        HeaderMap, HeaderValue, Method,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
        },
    },
};

/// Request headers that a page may set: headers of the contract's clients, and of tracing libraries (W3C Trace Context and Baggage).
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, baggage, content-type, traceparent, tracestate, x-requested-with",
);
/// Response headers that a page may read.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// Seconds for which a browser may cache a preflight. Chromium allows no more.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The allowed origins.
pub(in crate::http) struct Cors(HashSet<HeaderValue>);

/// A request of an allowed origin.
pub(in crate::http) struct AllowedOrigin {
    origin: HeaderValue,
    /// Whether the request is a preflight.
    preflight: bool,
}

impl Cors {
    pub(in crate::http) fn new(origins: &[String]) -> Self {
        let origins = origins.iter();
        Self(
            origins
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
        )
    }

    pub(in crate::http) fn match_origin(&self, request: &Request) -> Option<AllowedOrigin> {
        let origin = self.0.get(request.headers().get(ORIGIN)?)?.clone();
        let has_method = request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = request.method() == Method::OPTIONS && has_method;
        Some(AllowedOrigin { origin, preflight })
    }

    /// Adds the CORS headers. `Vary` is needed for caches.
    pub(in crate::http) fn apply_headers(
        &self,
        allowed: Option<AllowedOrigin>,
        headers: &mut HeaderMap,
    ) {
        if !self.0.is_empty() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(AllowedOrigin { origin, preflight }) = allowed else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if !preflight {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        } else if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}
