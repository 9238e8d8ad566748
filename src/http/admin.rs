//! What operators ask, on a listener of its own: whether the process is alive, whether it is ready for
//! requests, and what it measures.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use poem::{
    Endpoint, EndpointExt, Response, Route,
    endpoint::make,
    http::{StatusCode, header::CACHE_CONTROL},
};
use prometheus_client::{encoding::text, registry::Registry};
use serde_json::json;
use tracing::warn;

use super::{App, InvalidHost, edge, methods::Methods};
use crate::{accounts::Unready, auth::AuthService};

/// Whether the service is about to stop.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// From now on it is not ready, and asks its clients to connect anew, elsewhere.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What operators ask. Until the service is composed, it is starting: alive, and not ready.
#[derive(Clone, Default)]
pub struct Admin(Arc<OnceLock<Running>>);

struct Running {
    auth: AuthService,
    registry: Registry,
    stopping: Stopping,
}

impl Admin {
    /// From now on, it is this service.
    pub(super) fn run(&self, auth: AuthService, registry: Registry, stopping: Stopping) {
        let running = Running {
            auth,
            registry,
            stopping,
        };
        assert!(self.0.set(running).is_ok(), "a service is composed once");
    }

    /// The pages.
    #[must_use]
    pub fn app(&self) -> App {
        let (to_ready, to_measure) = (self.clone(), self.clone());
        Route::new()
            .at(
                "/healthz",
                get(make(|_| async { state(StatusCode::OK, "alive") })),
            )
            .at(
                "/readyz",
                get(make(move |_| {
                    let admin = to_ready.clone();
                    async move { admin.readiness().await }
                })),
            )
            .at(
                "/metrics",
                get(make(move |_| {
                    let admin = to_measure.clone();
                    async move { admin.measured() }
                })),
            )
            .catch_all_error(async |error| edge::into_json(error))
            .around(
                async |endpoint, request| match InvalidHost::reject(&request) {
                    Some(rejection) => Ok(rejection),
                    None => endpoint.call(request).await,
                },
            )
            .boxed()
    }

    /// Ready is who can serve the next request: not one that starts or stops, and not without a current database.
    async fn readiness(&self) -> Response {
        let Some(running) = self.0.get() else {
            return starting();
        };
        if running.stopping.has_begun() {
            return state(StatusCode::SERVICE_UNAVAILABLE, "stopping");
        }
        match running.auth.users.ready().await {
            Ok(()) => state(StatusCode::OK, "ready"),
            Err(unready) => {
                warn!(error = %unready, "not ready");
                let told = match unready {
                    Unready::Unreachable(_) => "the database cannot be reached".to_owned(),
                    Unready::NotCurrent(_) => "the database is not up to date".to_owned(),
                    Unready::File(error) => error.to_string(),
                };
                state(StatusCode::SERVICE_UNAVAILABLE, &told)
            }
        }
    }

    fn measured(&self) -> Response {
        let Some(running) = self.0.get() else {
            return starting();
        };
        let mut metrics = String::new();
        match text::encode(&mut metrics, &running.registry) {
            Ok(()) => Response::builder()
                .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
                .header(CACHE_CONTROL, "no-store")
                .body(metrics),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into(),
        }
    }
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

fn get(endpoint: impl Endpoint<Output = Response> + 'static) -> Methods {
    Methods::get(endpoint.boxed())
}
