//! The endpoint of all requests: finds the operation or the page, and adds to each response the request ID, security headers, CORS
//! headers, a log line and metrics. Every error is JSON, after a panic, too.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result, Route,
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONNECTION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
};
use tracing::{Instrument, Span, field::Empty, info, info_span};

use super::{
    admin::ShutdownFlag,
    docs,
    method_router::MethodRouter,
    metrics::HttpMetrics,
    middleware::{Cors, InvalidHost, RequestIds, TrustedProxies, record_status, set_remote_parent},
    response,
};
use crate::{api::RequestContext, auth::ClientInfo};

/// Headers of each response that does not set them.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

/// The outermost endpoint.
pub(super) struct RootEndpoint {
    /// The operations by path. The log, the metrics and the handler use the result of one lookup.
    pub(super) operations: HashMap<String, Operation>,
    /// The documentation pages.
    pub(super) pages: Route,
    pub(super) context: Arc<RequestContext>,
    pub(super) proxies: TrustedProxies,
    pub(super) cors: Cors,
    pub(super) metrics: HttpMetrics,
    pub(super) shutdown: ShutdownFlag,
}

/// An operation of the contract.
pub(super) struct Operation {
    pub(super) id: &'static str,
    pub(super) handlers: Arc<MethodRouter>,
}

/// The target of a request.
struct RequestTarget<'a> {
    /// The path in logs and traces. Unknown paths are not logged, because clients may put secrets there.
    path: &'a str,
    /// The ID of the operation in metrics.
    operation: &'static str,
    /// The handlers of an operation of the contract.
    handlers: Option<&'a MethodRouter>,
}

impl RootEndpoint {
    fn resolve(&self, path: &str) -> RequestTarget<'_> {
        if let Some((path, Operation { id, handlers })) = self.operations.get_key_value(path) {
            return RequestTarget {
                path,
                operation: id,
                handlers: Some(handlers),
            };
        }
        let (path, operation) = match docs::PAGE_PATHS.iter().find(|page| **page == path) {
            Some(page) => (*page, "docs"),
            None if path.starts_with(docs::ASSET_PREFIX) => (docs::ASSET_PREFIX, "docs"),
            None => ("-", "-"),
        };
        RequestTarget {
            path,
            operation,
            handlers: None,
        }
    }

    /// Calls the handler. A panic becomes an internal error.
    async fn handle(&self, request: Request, handlers: Option<&MethodRouter>) -> Response {
        let response = async {
            match (InvalidHost::reject(&request), handlers) {
                (Some(rejection), _) => Ok(rejection),
                (None, Some(handlers)) => handlers.call(request).await,
                (None, None) => self.pages.call(request).await,
            }
        };
        let response = AssertUnwindSafe(response).catch_unwind().await;
        response.map_or_else(
            |_| response::internal_error(),
            |response| response.map_or_else(response::from_poem_error, IntoResponse::into_response),
        )
    }
}

impl Endpoint for RootEndpoint {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let client = request.data::<ClientInfo>();
        let peer = client.and_then(|client| client.address);
        let is_trusted = self.proxies.trusts(peer);
        let address = self.proxies.client_address(peer, request.headers());
        let id = RequestIds::get_or_create(is_trusted, request.headers());
        let origin = self.cors.match_origin(&request);
        let method = method_label(request.method());
        let target = self.resolve(request.uri().path());
        let span = request_span(&id, method, target.path);
        set_remote_parent(&span, &request, is_trusted, method, target.path);

        request.set_data(Arc::clone(&self.context));
        // Rate limits and the audit log use the same address as the log.
        let client = request
            .extensions_mut()
            .get_or_insert_default::<ClientInfo>();
        client.address = address;
        let mut response = self
            .handle(request, target.handlers)
            .instrument(span.clone())
            .await;

        let headers = response.headers_mut();
        for (name, value) in DEFAULT_HEADERS {
            headers.entry(name).or_insert(value);
        }
        headers.insert(RequestIds::HEADER, id);
        self.cors.apply_headers(origin, headers);
        if self.shutdown.is_set() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let elapsed = started.elapsed();
        record_status(&span, response.status());
        self.metrics
            .record(target.operation, response.status(), elapsed);
        // A log filter may select events by their span.
        span.in_scope(|| {
            info!(
                status = response.status().as_u16(),
                duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                address = address.map(tracing::field::display),
                peer = peer.map(tracing::field::display),
                "request completed"
            );
        });
        Ok(response)
    }
}

fn request_span(id: &HeaderValue, method: &'static str, path: &str) -> Span {
    info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method,
        path,
        trace_id = Empty,
        reason = Empty,
        otel.kind = Empty,
        otel.name = Empty
    )
}

/// Returns the method for logs. Clients can invent methods with any content, which is not logged.
fn method_label(method: &Method) -> &'static str {
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
