//! What every answer has in common: a request id, a log line, the headers, and JSON for every error,
//! a panic included.

use std::{collections::HashMap, future::ready, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result, Route,
    error::NotFoundError,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CACHE_CONTROL, CONNECTION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
};
use serde_json::json;
use tracing::{Instrument, error, field::Empty, info, info_span};

use super::{
    InvalidHost, Stopping, cors::Cors, docs, ids::Ids, methods::Methods, proxies::TrustedProxies,
    trace, traffic::Traffic,
};
use crate::{
    api::{FAILED, Reader},
    auth::ClientInfo,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer that does not say otherwise.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

/// The outermost endpoint.
pub(super) struct Edge {
    /// The operations, by path: one look finds what is told of a request and what answers it. A router, asked besides, would add
    /// 0.9 us to a refresh.
    pub(super) operations: HashMap<String, Operation>,
    /// Whatever else is served.
    pub(super) pages: Route,
    pub(super) reader: Arc<Reader>,
    pub(super) proxies: TrustedProxies,
    pub(super) cors: Cors,
    pub(super) ids: Ids,
    pub(super) traffic: Traffic,
    pub(super) stopping: Stopping,
}

/// What is served at a path of the contract.
pub(super) struct Operation {
    pub(super) id: &'static str,
    pub(super) methods: Arc<Methods>,
}

impl Edge {
    /// What is served at a path: the path, as it may be told; its name; and the operation, if it is one. No other path is
    /// logged: a client may have put anything there.
    fn known(&self, path: &str) -> (&str, &'static str, Option<&Methods>) {
        if let Some((path, Operation { id, methods })) = self.operations.get_key_value(path) {
            return (path, id, Some(methods));
        }
        match docs::PATHS.iter().find(|page| **page == path) {
            Some(page) => (page, "docs", None),
            None if path.starts_with(docs::FILES) => (docs::FILES, "docs", None),
            None => ("-", "-", None),
        }
    }

    /// The id of a request: that of a proxy that is trusted, or a new one.
    fn id(&self, is_trusted: bool, request: &Request) -> HeaderValue {
        let given = request.headers().get(REQUEST_ID);
        let given = given.filter(|id| is_trusted && is_an_id(id));
        given.cloned().unwrap_or_else(|| self.ids.next())
    }
}

impl Endpoint for Edge {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let caller = request.data::<ClientInfo>();
        let peer = caller.and_then(|caller| caller.address);
        let is_trusted = self.proxies.trusts(peer);
        let address = self.proxies.client(peer, request.headers());
        let id = self.id(is_trusted, &request);
        let origin = self.cors.allowed(&request);
        let method = method_for_the_log(request.method());
        let (path, operation, methods) = self.known(request.uri().path());

        let span = info_span!(
            "request",
            id = id.to_str().unwrap_or_default(),
            method,
            path,
            trace_id = Empty,
            otel.kind = Empty,
            otel.name = Empty
        );
        trace::join(&span, &request, is_trusted, method, path);
        request.set_data(Arc::clone(&self.reader));
        // The throttle and the audit trail use the address that is logged here.
        let caller = request
            .extensions_mut()
            .get_or_insert_default::<ClientInfo>();
        caller.address = address;
        let answer = match (InvalidHost::reject(&request), methods) {
            (Some(rejection), _) => ready(Ok(rejection)).left_future(),
            (None, Some(methods)) => methods.call(request).left_future().right_future(),
            (None, None) => self.pages.call(request).right_future().right_future(),
        };
        let mut response = AssertUnwindSafe(answer)
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
        headers.insert(REQUEST_ID, id);
        self.cors.tell(origin, headers);
        if self.stopping.has_begun() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let took = started.elapsed();
        trace::answered(&span, response.status());
        self.traffic.count(operation, response.status(), took);
        // Within it: a filter may let through what is within some spans alone.
        span.in_scope(|| {
            info!(
                status = response.status().as_u16(),
                duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                address = address.map(tracing::field::display),
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
pub(super) fn into_json(unanswered: poem::Error) -> Response {
    if unanswered.is::<NotFoundError>() {
        return error(StatusCode::NOT_FOUND, "Not found.");
    }
    error!(error = %unanswered, "a request found no answer");
    error(StatusCode::INTERNAL_SERVER_ERROR, FAILED)
}

/// Whether it may be told on, in a header and in the log.
fn is_an_id(id: &HeaderValue) -> bool {
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_harmless)
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
