//! The one composition: parts become the service that is served, tested and documented.

use std::{collections::HashMap, sync::Arc};

use poem::{EndpointExt, Response, endpoint::BoxEndpoint};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::Registry,
};

pub use crate::api::{BodyLimits, claims_schema};
use crate::{
    api::{self, Document, Reader, Schemas},
    auth::{AuthService, Lifetimes},
};

mod admin;
mod cors;
mod docs;
mod edge;
mod host;
mod ids;
mod methods;
mod proxies;
mod trace;
mod traffic;

pub use admin::{Admin, Stopping};
pub use host::InvalidHost;
pub use proxies::Proxies;

use cors::Cors;
use edge::{Edge, Operation};
use ids::Ids;
use methods::Methods;
use proxies::TrustedProxies;
use traffic::Traffic;

/// The service: an endpoint that answers every request, whatever it is.
pub type App = BoxEndpoint<'static, Response>;

/// The document of the service, which clients reach at `public_url`, or where the document is.
#[must_use]
pub fn document(public_url: Option<&str>, lifetimes: Lifetimes) -> Document {
    Document::build(public_url, lifetimes)
}

/// What the service is told beside its parts.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a body may take.
    pub limits: BodyLimits,
    /// The proxies that are trusted about their clients, and about the ID and the trace of a request.
    pub proxies: Proxies,
    /// Origins of web pages that may call the service.
    pub cors_origins: Vec<String>,
    /// When the certificate that they are shown expires, in Unix seconds.
    pub certificate_expiry: Option<Gauge>,
    /// Lines of the log that there was no room for.
    pub lost_lines: Counter,
    /// Where clients reach the service, if not where its document is.
    pub public_url: Option<String>,
}

/// The service, composed.
pub struct Composition {
    /// What clients reach.
    pub app: App,
    /// To be told when it is about to stop.
    pub stopping: Stopping,
}

/// Composes the service, and tells operators of it.
#[must_use]
pub fn compose(auth: &AuthService, options: Options, admin: &Admin) -> Composition {
    let document = document(options.public_url.as_deref(), auth.tokens.lifetimes);
    let reader = Arc::new(Reader {
        limits: options.limits,
        schemas: Schemas::compile(&document),
    });
    let mut operations = HashMap::new();
    let ids = api::operation_ids();
    for (path, methods) in api::routes(api::operations(auth)) {
        // A path without its trailing slash is served like the documented one: no redirect.
        let bare = path.trim_end_matches('/').to_owned();
        let methods = Arc::new(Methods::new(methods));
        let id = ids[&path];
        for spelling in [path, bare] {
            let methods = Arc::clone(&methods);
            operations.insert(spelling, Operation { id, methods });
        }
    }
    let mut registry = Registry::with_prefix("signet");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What runs", version);
    let traffic = Traffic::new(&mut registry);
    auth.register(&mut registry);
    if let Some(expiry) = options.certificate_expiry {
        let name = "tls_certificate_expiry_timestamp_seconds";
        registry.register(name, "When the certificate expires, in Unix time", expiry);
    }
    let lost = "Lines of the log that were lost, because it was too slow";
    registry.register("log_lines_lost", lost, options.lost_lines);
    let stopping = Stopping::default();
    let edge = Edge {
        operations,
        pages: docs::routes(&document),
        reader,
        proxies: TrustedProxies::new(options.proxies),
        cors: Cors::new(&options.cors_origins),
        ids: Ids::new(),
        traffic,
        stopping: stopping.clone(),
    };
    admin.run(auth.clone(), registry, stopping.clone());
    Composition {
        app: edge.boxed(),
        stopping,
    }
}
