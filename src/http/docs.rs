//! The documentation pages: Swagger UI, the contract as a page, and the documents in JSON and YAML.
//!
//! All links are relative, so the pages work below any path prefix. Only the documents need `SIGNET_PUBLIC_URL` there. The pages load all
//! files from this service.

use std::{collections::HashMap, sync::Arc};

use poem::{
    Endpoint, EndpointExt, IntoResponse, Response,
    endpoint::{BoxEndpoint, make_sync},
    http::header::CONTENT_SECURITY_POLICY,
    middleware::SetHeader,
    web::Redirect,
};

use super::{method_router::MethodRouter, router::Target};
use crate::api::{CLAIMS_PATH, Document};
use assets::Assets;
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

/// Returns the pages of `document` and their files by path.
pub(super) fn targets(document: &Document) -> HashMap<String, Target> {
    let assets = Assets::load();
    let title = document.value()["info"]["title"]
        .as_str()
        .unwrap_or_default();
    let page = |template: &str| assets.rewrite_urls(&template.replace("{title}", title));
    let swagger = page(include_str!("docs/swagger.html"));
    let html = ContractHtml::render(&document.to_markdown());
    let contract = page(include_str!("docs/contract.html"))
        .replace("{contents}", &html.contents)
        .replace("{contract}", &html.body);
    let pages = [
        ("/", redirect(Redirect::temporary("docs/"))),
        ("/docs", redirect(Redirect::temporary("docs/"))),
        ("/docs/", html_page(swagger)),
        ("/contract", redirect(Redirect::temporary("contract/"))),
        ("/contract/", html_page(contract)),
        // The former paths of the contract.
        ("/redoc", redirect(Redirect::permanent("contract/"))),
        ("/redoc/", redirect(Redirect::permanent("../contract/"))),
        (
            "/openapi.json",
            text("application/json", document.to_json()),
        ),
        (
            "/openapi.yaml",
            text("application/yaml", document.to_yaml()),
        ),
        (
            CLAIMS_PATH,
            text("application/schema+json", document.to_claims_schema()),
        ),
    ];
    let pages = pages.map(|(path, handlers)| (path.to_owned(), target(path, handlers)));
    let files = assets.by_hashed_name.into_iter().map(|(name, content)| {
        let path = format!("{ASSET_PREFIX}{name}");
        (path, target(ASSET_PREFIX, file(content)))
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

fn file(file: StaticFile) -> MethodRouter {
    MethodRouter::get(boxed(content(file)))
}

fn content(file: StaticFile) -> impl Endpoint<Output = Response> {
    make_sync(move |request| file.response(request.headers()))
}

fn html_page(page: String) -> MethodRouter {
    let page = content(document("text/html; charset=utf-8", page));
    let policy = SetHeader::new().overriding(CONTENT_SECURITY_POLICY, CSP);
    MethodRouter::get(boxed(page.with(policy)))
}

fn text(media_type: &'static str, text: String) -> MethodRouter {
    file(document(media_type, text))
}

/// A document may change when the service restarts, so clients must revalidate.
fn document(media_type: &str, text: String) -> StaticFile {
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
