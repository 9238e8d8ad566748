//! The one composition: parts become the service that is served, tested and documented.

use std::sync::Arc;

use ipnet::IpNet;
use poem::{EndpointExt, Response, Route, endpoint::BoxEndpoint};

pub use crate::api::{BodyLimits, claims_schema};
use crate::{
    api::{self, Document, Reader, Schemas, TrustedProxies},
    auth::Auth,
};

mod docs;
mod edge;
mod methods;

use edge::Edge;
use methods::Methods;

/// The service: an endpoint that answers every request, whatever it is.
pub type App = BoxEndpoint<'static, Response>;

/// The document of the service, which clients reach at `public_url`, or where the document is.
#[must_use]
pub fn document(public_url: Option<&str>) -> Document {
    Document::build(public_url)
}

/// Composes the service. What `proxies` say of their clients is believed; clients reach it at `public_url`, or where its document is.
#[must_use]
pub fn app(auth: &Auth, limits: BodyLimits, proxies: Vec<IpNet>, public_url: Option<&str>) -> App {
    let document = document(public_url);
    let reader = Arc::new(Reader {
        limits,
        schemas: Schemas::compile(&document),
    });
    let mut route = docs::routes(Route::new(), &document);
    let mut paths = docs::PATHS.map(str::to_owned).to_vec();
    for (path, methods) in api::routes(api::operations(auth)) {
        // A path without its trailing slash is served like the documented one: no redirect.
        let bare = path.trim_end_matches('/').to_owned();
        let methods = Arc::new(Methods::new(methods));
        for spelling in [path, bare] {
            route = route.at(&spelling, Arc::clone(&methods));
            paths.push(spelling);
        }
    }
    let proxies = Arc::new(TrustedProxies::new(proxies));
    Edge::new(route.data(reader).data(proxies), paths).boxed()
}
