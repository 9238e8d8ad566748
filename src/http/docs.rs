//! The documentation pages: Swagger UI, the contract as a page, and the documents in JSON and YAML.
//!
//! All links are relative, so the pages work below any path prefix. Only the documents need `SIGNET_PUBLIC_URL` there. The pages load all
//! files from this service.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use poem::{
    Endpoint, EndpointExt, IntoResponse, Response,
    endpoint::{BoxEndpoint, make_sync},
    http::header::CONTENT_SECURITY_POLICY,
    middleware::SetHeader,
    web::Redirect,
};

use super::{method_router::MethodRouter, router::Target};
use crate::api::{CLAIMS_PATH, Document};
use assets::{ASSETS, rewrite_urls};
use contract::ContractHtml;
pub(super) use static_file::{Content, StaticFile};

mod assets;
mod contract;
mod static_file;

/// The path prefix of the files of the pages.
const ASSET_PREFIX: &str = "/docs/assets/";

/// The Content Security Policy: pages load files from this service only. Swagger UI needs inline styles, but no inline scripts.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the pages of `document` and their files by path. Each is created for its first request, because together they use 2 MiB, and
/// most replicas never need them.
pub(super) fn targets(document: Document) -> HashMap<String, Target> {
    let document = Arc::new(document);
    let rendered = |render: fn(&Document) -> StaticFile| {
        let document = Arc::clone(&document);
        lazy(move || render(&document))
    };
    let text = |render| MethodRouter::get(boxed(rendered(render)));
    let page = |render| {
        let policy = SetHeader::new().overriding(CONTENT_SECURITY_POLICY, CSP);
        MethodRouter::get(boxed(rendered(render).with(policy)))
    };
    let pages = [
        ("/", redirect(Redirect::temporary("docs/"))),
        ("/docs", redirect(Redirect::temporary("docs/"))),
        ("/docs/", page(swagger_page)),
        ("/contract", redirect(Redirect::temporary("contract/"))),
        ("/contract/", page(contract_page)),
        // The former paths of the contract.
        ("/redoc", redirect(Redirect::permanent("contract/"))),
        ("/redoc/", redirect(Redirect::permanent("../contract/"))),
        (
            "/openapi.json",
            text(|document| revalidated("application/json", document.to_json())),
        ),
        (
            "/openapi.yaml",
            text(|document| revalidated("application/yaml", document.to_yaml())),
        ),
        (
            CLAIMS_PATH,
            text(|document| revalidated("application/schema+json", document.to_claims_schema())),
        ),
    ];
    let pages = pages.map(|(path, handlers)| (path.to_owned(), target(path, handlers)));
    let files = ASSETS.iter().map(|asset| {
        let path = format!("{ASSET_PREFIX}{}", asset.hashed_name());
        let handlers = MethodRouter::get(boxed(lazy(|| asset.file())));
        (path, target(ASSET_PREFIX, handlers))
    });
    pages.into_iter().chain(files).collect()
}

fn target(path: &str, handlers: MethodRouter) -> Target {
    Target {
        path: path.to_owned(),
        operation: "docs",
        handlers: Arc::new(handlers),
    }
}

/// Serves a file that is created for its first request.
fn lazy(create: impl FnOnce() -> StaticFile + Send + 'static) -> impl Endpoint<Output = Response> {
    let file = LazyLock::new(create);
    make_sync(move |request| file.response(request.headers()))
}

fn swagger_page(document: &Document) -> StaticFile {
    html(fill_template(include_str!("docs/swagger.html"), document))
}

fn contract_page(document: &Document) -> StaticFile {
    let contract = ContractHtml::render(&document.to_markdown());
    let page = fill_template(include_str!("docs/contract.html"), document)
        .replace("{contents}", &contract.contents)
        .replace("{contract}", &contract.body);
    html(page)
}

/// Replaces the title and the names of files in braces.
fn fill_template(template: &str, document: &Document) -> String {
    let title = document.value()["info"]["title"].as_str();
    rewrite_urls(template).replace("{title}", title.unwrap_or_default())
}

fn html(page: String) -> StaticFile {
    revalidated("text/html; charset=utf-8", page)
}

/// A document may change when the service restarts, so clients must revalidate.
fn revalidated(media_type: &str, text: String) -> StaticFile {
    StaticFile::new(media_type, "no-cache", Content::Plain(text.into()))
}

fn redirect(to: Redirect) -> MethodRouter {
    MethodRouter::get(boxed(make_sync(move |_| to.clone())))
}

pub(super) fn boxed(
    endpoint: impl Endpoint<Output = impl IntoResponse + 'static> + 'static,
) -> BoxEndpoint<'static> {
    endpoint.map_to_response().boxed()
}
