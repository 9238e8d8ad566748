//! What operators ask, on a listener of its own: whether the process is alive, whether it is ready for
//! requests, and what it measures.

use std::sync::{
    Arc,
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

use super::{App, edge, methods::Methods};
use crate::{auth::Auth, users::Unready};

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

/// The pages for operators.
pub(super) fn admin(auth: &Auth, registry: Registry, stopping: Stopping) -> App {
    let auth = auth.clone();
    let ready = make(move |_| {
        let (auth, stopping) = (auth.clone(), stopping.clone());
        async move { readiness(&auth, &stopping).await }
    });
    let registry = Arc::new(registry);
    let metrics = make(move |_| {
        let registry = Arc::clone(&registry);
        async move { measured(&registry) }
    });
    Route::new()
        .at(
            "/healthz",
            get(make(|_| async { state(StatusCode::OK, "alive") })),
        )
        .at("/readyz", get(ready))
        .at("/metrics", get(metrics))
        .catch_all_error(async |error| edge::into_json(error))
        .boxed()
}

/// Ready is who can serve the next request: not one that stops, and not without a current database.
async fn readiness(auth: &Auth, stopping: &Stopping) -> Response {
    if stopping.has_begun() {
        return state(StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    match auth.users.ready().await {
        Ok(()) => state(StatusCode::OK, "ready"),
        Err(unready) => {
            warn!(error = %unready, "not ready");
            let told = match unready {
                Unready::Unreachable(_) => "the database cannot be reached",
                Unready::NotCurrent(_) => "the database is not up to date",
            };
            state(StatusCode::SERVICE_UNAVAILABLE, told)
        }
    }
}

fn state(status: StatusCode, state: &str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(json!({ "status": state }).to_string())
}

fn measured(registry: &Registry) -> Response {
    let mut metrics = String::new();
    match text::encode(&mut metrics, registry) {
        Ok(()) => Response::builder()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .header(CACHE_CONTROL, "no-store")
            .body(metrics),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into(),
    }
}

fn get(endpoint: impl Endpoint<Output = Response> + 'static) -> Methods {
    Methods::get(endpoint.boxed())
}
