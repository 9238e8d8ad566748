//! What every answer has in common: a request id, a log line, the headers, and JSON for every error,
//! a panic included.

use std::{collections::HashSet, net::SocketAddr, panic::AssertUnwindSafe, time::Instant};

use futures_util::FutureExt;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result,
    error::NotFoundError,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
};
use serde_json::json;
use tracing::{Instrument, error, info, info_span};

use super::docs;
use crate::{api::FAILED, auth::random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer that does not say otherwise.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

/// The outermost endpoint.
pub(super) struct Edge<E> {
    inner: E,
    /// The paths that are served. No other path is logged: a client may have put anything there.
    paths: HashSet<String>,
}

impl<E> Edge<E> {
    pub(super) fn new(inner: E, paths: impl IntoIterator<Item = String>) -> Self {
        Self {
            inner,
            paths: paths.into_iter().collect(),
        }
    }

    fn path_for_the_log(&self, path: &str) -> &str {
        match self.paths.get(path) {
            Some(known) => known,
            None if path.starts_with(docs::FILES) => docs::FILES,
            None => "-",
        }
    }
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let started = Instant::now();
        let id = random::hex::<8>();
        let method = method_for_the_log(request.method());
        let path = self.path_for_the_log(request.uri().path());
        let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);

        let span = info_span!("request", id, method, path);
        let mut response = AssertUnwindSafe(self.inner.call(request))
            .catch_unwind()
            .instrument(span.clone())
            .await
            .map_or_else(
                |_| error(StatusCode::INTERNAL_SERVER_ERROR, FAILED),
                |answer| answer.map_or_else(into_json, IntoResponse::into_response),
            );

        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.entry(name).or_insert(value);
        }
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_str(&id).expect("an id is hexadecimal"),
        );
        span.in_scope(|| {
            info!(
                status = response.status().as_u16(),
                duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                peer = peer.map(tracing::field::display),
                "answered"
            );
        });
        Ok(response)
    }
}

/// An error as JSON, with one `detail`.
pub(super) fn error(status: StatusCode, detail: &str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .body(json!({ "detail": detail }).to_string())
}

/// What the framework could not answer otherwise.
fn into_json(unanswered: poem::Error) -> Response {
    if unanswered.is::<NotFoundError>() {
        return error(StatusCode::NOT_FOUND, "Not found.");
    }
    error!(error = %unanswered, "a request found no answer");
    error(StatusCode::INTERNAL_SERVER_ERROR, FAILED)
}

/// A client may make up a method, and put anything in it.
fn method_for_the_log(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "-",
    }
}
