//! The documentation pages: Swagger UI, the contract as a page, and the documents in JSON and YAML.
//!
//! All links are relative, so the pages work below any path prefix. Only the documents need `SIGNET_PUBLIC_URL` there. The pages load all
//! files from this service.

use std::fmt::Write;

use poem::{
    EndpointExt, IntoResponse, Request, Response, Route,
    endpoint::{BoxEndpoint, make_sync},
    error::NotFoundError,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, LOCATION},
    },
};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, html};

use super::method_router::MethodRouter;
use crate::api::{CLAIMS_PATH, Document, claims_schema};
use assets::Assets;
use static_file::{Content, StaticFile};

mod assets;
mod static_file;

/// The paths of the pages.
pub(super) const PAGE_PATHS: [&str; 8] = [
    "/",
    "/docs",
    "/docs/",
    "/redoc",
    "/redoc/",
    "/openapi.json",
    "/openapi.yaml",
    CLAIMS_PATH,
];
/// The path prefix of the files of the pages.
pub(super) const ASSET_PREFIX: &str = "/docs/assets/";

/// The Content Security Policy: pages load files from this service only. Swagger UI needs inline styles, but no inline scripts.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the routes of the pages of `document`.
pub(super) fn routes(document: &Document) -> Route {
    let assets = Assets::load();
    let title = document.value()["info"]["title"]
        .as_str()
        .unwrap_or_default();
    let page = |template: &str| assets.rewrite_urls(&template.replace("{title}", title));
    let swagger = page(include_str!("docs/swagger.html"));
    let reading =
        page(include_str!("docs/reading.html")).replace("{contract}", &contract_html(document));
    let files = assets.by_hashed_name;
    let files = make_sync(move |request: Request| {
        let name = request.raw_path_param("name").unwrap_or_default();
        let file = files.get(name);
        file.map(|file| file.response(request.headers()))
            .ok_or_else(|| poem::Error::from(NotFoundError))
    });
    Route::new()
        .at("/", endpoint(|| redirect("docs/")))
        .at("/docs", endpoint(|| redirect("docs/")))
        .at("/docs/", html_page(swagger))
        .at("/docs/assets/:name", MethodRouter::get(boxed(files)))
        .at("/redoc", endpoint(|| redirect("redoc/")))
        .at("/redoc/", html_page(reading))
        .at(
            "/openapi.json",
            text("application/json", document.to_json()),
        )
        .at(
            "/openapi.yaml",
            text("application/yaml", document.to_yaml()),
        )
        .at(
            CLAIMS_PATH,
            text("application/schema+json", claims_schema()),
        )
}

/// Renders the contract as HTML with a table of contents.
fn contract_html(document: &Document) -> String {
    let markdown = document.to_markdown();
    let mut events: Vec<_> = Parser::new_ext(&markdown, Options::ENABLE_TABLES).collect();
    let mut contents = String::from("<nav><ul>");
    for at in 1..events.len() {
        let (before, rest) = events.split_at_mut(at);
        if let (
            Some(Event::Start(Tag::Heading {
                level: HeadingLevel::H3,
                id,
                ..
            })),
            Some(Event::Text(title)),
        ) = (before.last_mut(), rest.first())
        {
            let slug = title.to_lowercase().replace(' ', "-");
            let _ = write!(contents, "<li><a href=\"#{slug}\">{title}</a></li>");
            *id = Some(slug.into());
        }
    }
    let mut page = contents + "</ul></nav>\n";
    html::push_html(&mut page, events.into_iter());
    page
}

fn html_page(page: String) -> MethodRouter {
    let file = document("text/html; charset=utf-8", page);
    MethodRouter::get(boxed(make_sync(move |request: Request| {
        let mut response = file.response(request.headers());
        let policy = HeaderValue::from_static(CSP);
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
        response
    })))
}

fn text(media_type: &'static str, text: String) -> MethodRouter {
    let file = document(media_type, text);
    let response = move |request: Request| file.response(request.headers());
    MethodRouter::get(boxed(make_sync(response)))
}

/// A document may change when the service restarts, so clients must revalidate.
fn document(media_type: &str, text: String) -> StaticFile {
    StaticFile::new(media_type, "no-cache", Content::Plain(text.into()))
}

fn redirect(to: &'static str) -> Response {
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, to)
        .finish()
}

fn endpoint(response: impl Fn() -> Response + Send + Sync + 'static) -> MethodRouter {
    MethodRouter::get(boxed(make_sync(move |_| response())))
}

fn boxed(
    endpoint: impl poem::Endpoint<Output = impl IntoResponse + 'static> + 'static,
) -> BoxEndpoint<'static> {
    endpoint.map_to_response().boxed()
}
