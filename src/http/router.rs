//! The endpoint of all requests: finds the operation or the page, and adds to each response the request ID, security headers, CORS
//! headers, a log line and metrics. Every error is JSON, after a panic, too.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result,
    endpoint::BoxEndpoint,
    error::NotFoundError,
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONNECTION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
};
use tracing::{Instrument, Span, field::Empty, info, info_span};

use super::{
    method_router::MethodRouter,
    metrics::HttpMetrics,
    middleware::{Cors, InvalidHost, RequestIds, TrustedProxies, record_status, set_remote_parent},
    response,
    shutdown::ShutdownFlag,
};
use crate::{api::RequestContext, auth::ClientInfo};

/// Headers of each response that does not set them.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

/// A service as one endpoint.
pub type App = BoxEndpoint<'static, Response>;

/// The outermost endpoint.
pub(super) struct RootEndpoint {
    /// The targets by path. The log, the metrics and the handler use the result of one lookup.
    pub(super) targets: HashMap<String, Target>,
    pub(super) context: Arc<RequestContext>,
    pub(super) proxies: TrustedProxies,
    pub(super) cors: Cors,
    pub(super) metrics: HttpMetrics,
    pub(super) shutdown: ShutdownFlag,
}

/// An operation of the contract, a page, or a file of a page.
pub(super) struct Target {
    /// The path in logs and traces.
    pub(super) path: String,
    /// The ID of the operation in metrics.
    pub(super) operation: &'static str,
    pub(super) handlers: Arc<MethodRouter>,
}

impl RootEndpoint {
    /// Calls the handler. A panic becomes an internal error.
    async fn handle(request: Request, target: Option<&Target>) -> Response {
        let response = async {
            match (InvalidHost::reject(&request), target) {
                (Some(rejection), _) => Ok(rejection),
                (None, Some(target)) => target.handlers.call(request).await,
                (None, None) => Err(NotFoundError.into()),
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
        let target = self.targets.get(request.uri().path());
        // Unknown paths are not logged, because clients may put secrets there.
        let (path, operation) = target.map_or(("-", "-"), |it| (&it.path, it.operation));
        let span = request_span(&id, method, path);
        set_remote_parent(&span, &request, is_trusted, method, path);

        request.set_data(Arc::clone(&self.context));
        // Rate limits and the audit log use the same address as the log.
        let client = request
            .extensions_mut()
            .get_or_insert_default::<ClientInfo>();
        client.address = address;
        let mut response = Self::handle(request, target).instrument(span.clone()).await;

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
        self.metrics.record(operation, response.status(), elapsed);
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
