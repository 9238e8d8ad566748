//! The endpoints on a separate listener: `/healthz`, `/readyz` and `/metrics` for operators, and `/verify` and `/ext-authz`
//! for gateways.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;
use poem::{
    Endpoint, EndpointExt, Response, Route, handler,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION},
    },
    web::{Accept, Data, headers::Mime},
};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use serde_json::json;
use tracing::warn;

mod verify;

use super::{
    method_router::MethodRouter, middleware::InvalidHost, response, router::App,
    shutdown::ShutdownFlag,
};
use crate::{accounts::ReadinessError, auth::AuthService};

/// The endpoints for operators. Until [`build_app`](super::build_app) sets the service, `/readyz` reports that it is starting.
#[derive(Clone, Default)]
pub struct AdminApi(Arc<OnceLock<RunningService>>);

pub(super) struct RunningService {
    pub(super) auth: AuthService,
    pub(super) registry: Registry,
    pub(super) shutdown: ShutdownFlag,
}

impl AdminApi {
    /// Sets the service.
    pub(super) fn set_service(&self, service: RunningService) {
        assert!(self.0.set(service).is_ok(), "the service is set once");
    }

    /// Returns the endpoints.
    #[must_use]
    pub fn app(&self) -> App {
        Route::new()
            .at("/healthz", get(healthz))
            .at("/readyz", get(readyz))
            .at("/metrics", get(metrics))
            // Gateways may forward the method and the path of the client's request.
            .at("/verify", auth_request)
            .at("/verify/*path", auth_request)
            .at("/ext-authz", ext_authz)
            .at("/ext-authz/*path", ext_authz)
            .catch_all_error(async |error| response::from_poem_error(error))
            .around(async |endpoint, request| {
                if let Some(rejection) = InvalidHost::reject(&request) {
                    return Ok(rejection);
                }
                let response = AssertUnwindSafe(endpoint.call(request)).catch_unwind();
                response
                    .await
                    .unwrap_or_else(|_| Ok(response::internal_error()))
            })
            .data(self.clone())
            .boxed()
    }

    async fn verify(&self, headers: &HeaderMap, accepted: StatusCode) -> Response {
        let Some(service) = self.0.get() else {
            return verify::unavailable(1);
        };
        let mut response = verify::verify(&service.auth, headers, accepted).await;
        if service.shutdown.is_set() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

#[handler]
fn healthz() -> Response {
    state(StatusCode::OK, "alive")
}

/// Returns whether the service can handle requests: it runs, and the database is reachable and migrated.
#[handler]
async fn readyz(admin: Data<&AdminApi>) -> Response {
    let Some(running) = admin.0.0.get() else {
        return starting();
    };
    if running.shutdown.is_set() {
        return state(StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    match running.auth.accounts.ready().await {
        Ok(()) => state(StatusCode::OK, "ready"),
        Err(unready) => {
            warn!(error = %unready, "not ready");
            let reason = match unready {
                ReadinessError::Unreachable(_) => "the database cannot be reached".to_owned(),
                ReadinessError::NotCurrent(_) => "the database is not up to date".to_owned(),
                ReadinessError::File(error) => error.to_string(),
            };
            state(StatusCode::SERVICE_UNAVAILABLE, &reason)
        }
    }
}

#[handler]
fn metrics(admin: Data<&AdminApi>, accept: Option<Accept>) -> Response {
    let Some(running) = admin.0.0.get() else {
        return starting();
    };
    let mut metrics = String::new();
    let (content_type, encoded) = if accept.is_some_and(prefers_classic_text) {
        let encoded = prometheus_text::encode(&mut metrics, &running.registry);
        (prometheus_text::CONTENT_TYPE, encoded)
    } else {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (content_type, text::encode(&mut metrics, &running.registry))
    };
    match encoded {
        Ok(()) => Response::builder()
            .content_type(content_type)
            .header(CACHE_CONTROL, "no-store")
            .body(metrics),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into(),
    }
}

/// Returns whether the client prefers the classic text format of Prometheus. The default is `OpenMetrics`.
fn prefers_classic_text(Accept(types): Accept) -> bool {
    let known = [
        "text/plain",
        "text/*",
        "application/openmetrics-text",
        "*/*",
    ];
    let mut types = types.iter().map(Mime::essence_str);
    let preferred = types.find(|accepted| known.contains(accepted));
    preferred.is_some_and(|preferred| preferred.starts_with("text/"))
}

#[handler]
async fn auth_request(admin: Data<&AdminApi>, headers: &HeaderMap) -> Response {
    admin.verify(headers, StatusCode::NO_CONTENT).await
}

#[handler]
async fn ext_authz(admin: Data<&AdminApi>, headers: &HeaderMap) -> Response {
    admin.verify(headers, StatusCode::OK).await
}

fn starting() -> Response {
    state(StatusCode::SERVICE_UNAVAILABLE, "starting")
}

fn state(status: StatusCode, state: &str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(json!({ "status": state }).to_string())
}

fn get(endpoint: impl Endpoint<Output = Response> + 'static) -> MethodRouter {
    MethodRouter::get(endpoint.boxed())
}
