//! The HTTP service: all routes, and the handling that requests have in common.

use std::{collections::HashMap, sync::Arc};

use poem::EndpointExt;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::Registry,
};

pub use crate::api::BodyLimits;
use crate::{
    api::{Document, JWKS_PATH, Operations, PublicKeys, RequestContext, Validators},
    auth::AuthService,
};

mod admin;
mod docs;
mod jwks;
mod method_router;
mod metrics;
mod middleware;
mod response;
mod router;
mod shutdown;

pub use admin::AdminApi;
pub use middleware::{InvalidHost, Proxies};
pub use router::App;
pub use shutdown::ShutdownFlag;

use admin::RunningService;
use method_router::MethodRouter;
use metrics::HttpMetrics;
use middleware::{Cors, TrustedProxies};
use router::{RootEndpoint, Target};

/// The configuration of the service.
#[derive(Clone, Debug, Default)]
pub struct AppConfig {
    /// The operations of the service.
    pub operations: Operations,
    /// Limits of request bodies.
    pub limits: BodyLimits,
    /// The proxies that may set the address of the client, the request ID and the trace.
    pub proxies: Proxies,
    /// Origins of web pages that may call the service.
    pub cors_origins: Vec<String>,
    /// Expiry of the TLS certificate, in Unix seconds.
    pub certificate_expiry: Option<Gauge>,
    /// The keys for ES256.
    pub keys: PublicKeys,
    /// Number of log lines that were dropped.
    pub lost_lines: Counter,
    /// The public URL of the service, if it differs from the origin of the document.
    pub public_url: Option<String>,
}

/// The result of [`build_app`].
pub struct BuiltApp {
    /// The endpoint for clients.
    pub app: App,
    /// Must be set when a shutdown begins.
    pub shutdown: ShutdownFlag,
}

/// Builds the service. The server, the tests and `signet openapi` all use this function.
#[must_use]
pub fn build_app(auth: &AuthService, config: AppConfig, admin: &AdminApi) -> BuiltApp {
    let public_url = config.public_url.as_deref();
    let document = Document::build(config.operations, public_url, auth.tokens.lifetimes)
        .with_keys(config.keys)
        .with_issuer(auth.tokens.issuer.is_some());
    let context = Arc::new(RequestContext {
        limits: config.limits,
        validators: Validators::compile(document.value()),
    });
    let mut registry = Registry::with_prefix("signet");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of the service", version);
    let metrics = HttpMetrics::new(&mut registry);
    auth.register(&mut registry);
    if let Some(expiry) = config.certificate_expiry {
        let name = "tls_certificate_expiry_timestamp_seconds";
        registry.register(name, "Expiry of the certificate, in Unix seconds", expiry);
    }
    let lost = "Log lines lost because the reader of the log was too slow";
    registry.register("log_lines_lost", lost, config.lost_lines);
    let shutdown = ShutdownFlag::default();
    let mut targets = docs::targets(document);
    targets.extend(operations(config.operations, auth));
    if config.keys != PublicKeys::Absent {
        targets.insert(JWKS_PATH.to_owned(), jwks::target(auth));
    }
    for operation in targets.values().map(|target| target.operation) {
        metrics.start(operation);
    }
    let root = RootEndpoint {
        targets,
        context,
        proxies: TrustedProxies::new(config.proxies),
        cors: Cors::new(&config.cors_origins),
        metrics,
        shutdown: shutdown.clone(),
    };
    admin.set_service(RunningService {
        auth: auth.clone(),
        registry,
        shutdown: shutdown.clone(),
    });
    BuiltApp {
        app: root.boxed(),
        shutdown,
    }
}

/// Returns the operations by path. A path without its final slash is handled like the documented path.
fn operations(operations: Operations, auth: &AuthService) -> HashMap<String, Target> {
    let mut by_path = HashMap::new();
    for route in operations.routes(auth) {
        let without_slash = route.path.trim_end_matches('/').to_owned();
        let handlers = Arc::new(MethodRouter::new(route.handlers));
        for path in [route.path, without_slash] {
            let target = Target {
                path: path.clone(),
                operation: route.id,
                handlers: Arc::clone(&handlers),
            };
            by_path.insert(path, target);
        }
    }
    by_path
}
