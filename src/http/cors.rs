//! Web pages of other origins that may call the service from a browser (CORS, the Fetch standard).
//!
//! Who is not a listed origin is answered as ever, without the headers: it is the browser that keeps the
//! answer from its page. poem's middleware refuses instead, which clients that are no browser would notice.

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

/// Request headers that a page may set: the headers of the contract's clients, and of tracing libraries (W3C Trace Context and Baggage).
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, baggage, content-type, traceparent, tracestate, x-requested-with",
);
/// What a page may read of an answer beyond its body.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// For so many seconds a browser need not ask again: the most that Chromium believes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins that may.
pub(super) struct Cors(HashSet<HeaderValue>);

/// Who asks, if it is such an origin.
pub(super) struct Allowed {
    origin: HeaderValue,
    /// Whether it is the browser that asks, before it sends what its page wants to send.
    preflight: bool,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        let origins = origins.iter();
        Self(
            origins
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
        )
    }

    pub(super) fn allowed(&self, request: &Request) -> Option<Allowed> {
        let origin = self.0.get(request.headers().get(ORIGIN)?)?.clone();
        let asks = request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = request.method() == Method::OPTIONS && asks;
        Some(Allowed { origin, preflight })
    }

    /// Tells the browser. Whoever keeps answers must know that they differ.
    pub(super) fn tell(&self, allowed: Option<Allowed>, headers: &mut HeaderMap) {
        if !self.0.is_empty() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(Allowed { origin, preflight }) = allowed else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if !preflight {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        } else if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}
