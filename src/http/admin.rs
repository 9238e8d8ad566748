//! The endpoints on a separate listener: `/healthz`, `/readyz` and `/metrics` for operators, and `/verify` and `/ext-authz`
//! for gateways.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use poem::{
    Endpoint, EndpointExt, FromRequest, Request, Response, Route,
    endpoint::make,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION},
    },
    web::{Accept, headers::Mime},
};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use serde_json::json;
use tracing::warn;

mod verify;

use super::{App, method_router::MethodRouter, middleware::InvalidHost, response};
use crate::{accounts::ReadinessError, auth::AuthService};

/// Whether the service is shutting down.
#[derive(Clone, Debug, Default)]
pub struct ShutdownFlag(Arc<AtomicBool>);

impl ShutdownFlag {
    /// Makes `/readyz` fail, and closes connections after their next response.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The endpoints for operators. Until [`build_app`](super::build_app) sets the service, `/readyz` reports that it is starting.
#[derive(Clone, Default)]
pub struct AdminApi(Arc<OnceLock<ServiceHandle>>);

struct ServiceHandle {
    auth: AuthService,
    registry: Registry,
    shutdown: ShutdownFlag,
}

impl AdminApi {
    /// Sets the service.
    pub(super) fn set_service(
        &self,
        auth: AuthService,
        registry: Registry,
        shutdown: ShutdownFlag,
    ) {
        let service = ServiceHandle {
            auth,
            registry,
            shutdown,
        };
        assert!(self.0.set(service).is_ok(), "the service is set once");
    }

    /// Returns the endpoints.
    #[must_use]
    pub fn app(&self) -> App {
        let (for_ready, for_metrics) = (self.clone(), self.clone());
        // Gateways may forward the method and the path of the client's request.
        let verify = |accepted| {
            let admin = self.clone();
            Arc::new(make(move |request| {
                let admin = admin.clone();
                async move { admin.verify(&request, accepted).await }
            }))
        };
        let [verify, ext_authz] = [StatusCode::NO_CONTENT, StatusCode::OK].map(verify);
        Route::new()
            .at("/verify", Arc::clone(&verify))
            .at("/verify/*path", verify)
            .at("/ext-authz", Arc::clone(&ext_authz))
            .at("/ext-authz/*path", ext_authz)
            .at(
                "/healthz",
                get(make(|_| async { state(StatusCode::OK, "alive") })),
            )
            .at(
                "/readyz",
                get(make(move |_| {
                    let admin = for_ready.clone();
                    async move { admin.readiness().await }
                })),
            )
            .at(
                "/metrics",
                get(make(move |request| {
                    let admin = for_metrics.clone();
                    async move { admin.metrics(&request).await }
                })),
            )
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
            .boxed()
    }

    /// Returns whether the service can handle requests: it runs, and the database is reachable and migrated.
    async fn readiness(&self) -> Response {
        let Some(running) = self.0.get() else {
            return starting();
        };
        if running.shutdown.is_set() {
            return state(StatusCode::SERVICE_UNAVAILABLE, "stopping");
        }
        match running.auth.users.ready().await {
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

    async fn verify(&self, request: &Request, accepted: StatusCode) -> Response {
        let Some(service) = self.0.get() else {
            return verify::unavailable(1);
        };
        let mut response = verify::verify(&service.auth, request.headers(), accepted).await;
        if service.shutdown.is_set() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    async fn metrics(&self, request: &Request) -> Response {
        let Some(running) = self.0.get() else {
            return starting();
        };
        let mut metrics = String::new();
        let (content_type, encoded) = if prefers_classic_text(request).await {
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
}

/// Returns whether the client prefers the classic text format of Prometheus. The default is `OpenMetrics`.
async fn prefers_classic_text(request: &Request) -> bool {
    let Ok(Accept(types)) = Accept::from_request_without_body(request).await else {
        return false;
    };
    let known = ["text/plain", "application/openmetrics-text", "*/*"];
    let mut types = types.iter().map(Mime::essence_str);
    types.find(|accepted| known.contains(accepted)) == Some("text/plain")
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
