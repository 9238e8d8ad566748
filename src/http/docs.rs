//! The pages about the contract, from the binary itself: Swagger UI to try it, a page to read it, and
//! the documents they are made from. They refer to each other in relative terms, so that they work below
//! any path prefix, where the documents need `SIGNET_PUBLIC_URL`; and they load nothing from any other host.

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

use super::methods::Methods;
use crate::api::{CLAIMS_PATH, Document, claims_schema};
use asset::Assets;
use file::File;

mod asset;
mod file;

/// The paths of the pages.
pub(super) const PATHS: [&str; 8] = [
    "/",
    "/docs",
    "/docs/",
    "/redoc",
    "/redoc/",
    "/openapi.json",
    "/openapi.yaml",
    CLAIMS_PATH,
];
/// Below it lie the files of the pages.
pub(super) const FILES: &str = "/docs/assets/";

/// What a page may load and do: nothing but what this service serves. Swagger UI styles its elements
/// inline; no script is.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages about `document`.
pub(super) fn routes(document: &Document) -> Route {
    let assets = Assets::load();
    let title = document.value()["info"]["title"]
        .as_str()
        .unwrap_or_default();
    let page = |template: &str| assets.link(&template.replace("{title}", title));
    let swagger = page(include_str!("docs/swagger.html"));
    let reading =
        page(include_str!("docs/reading.html")).replace("{contract}", &rendered(document));
    let files = assets.by_hashed_name;
    let files = make_sync(move |request: Request| {
        let name = request.raw_path_param("name").unwrap_or_default();
        let file = files.get(name);
        file.map(|file| file.answer(request.headers()))
            .ok_or_else(|| poem::Error::from(NotFoundError))
    });
    Route::new()
        .at("/", answer(|| redirect("docs/")))
        .at("/docs", answer(|| redirect("docs/")))
        .at("/docs/", html_page(swagger))
        .at("/docs/assets/:name", Methods::get(boxed(files)))
        .at("/redoc", answer(|| redirect("redoc/")))
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

/// The contract as HTML: each chapter has an id, and stands in a list before all.
fn rendered(document: &Document) -> String {
    let markdown = document.to_markdown();
    let mut events: Vec<_> = Parser::new_ext(&markdown, Options::ENABLE_TABLES).collect();
    let mut chapters = String::from("<nav><ul>");
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
            let _ = write!(chapters, "<li><a href=\"#{slug}\">{title}</a></li>");
            *id = Some(slug.into());
        }
    }
    let mut page = chapters + "</ul></nav>\n";
    html::push_html(&mut page, events.into_iter());
    page
}

fn html_page(page: String) -> Methods {
    let file = document("text/html; charset=utf-8", page);
    Methods::get(boxed(make_sync(move |request: Request| {
        let mut response = file.answer(request.headers());
        let policy = HeaderValue::from_static(POLICY);
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
        response
    })))
}

fn text(media_type: &'static str, text: String) -> Methods {
    let file = document(media_type, text);
    let answer = move |request: Request| file.answer(request.headers());
    Methods::get(boxed(make_sync(answer)))
}

/// A document changes with the service, so a client asks each time whether its copy is current.
fn document(media_type: &str, text: String) -> File {
    File::new(media_type, "no-cache", text.into(), None)
}

fn redirect(to: &'static str) -> Response {
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, to)
        .finish()
}

fn answer(answer: impl Fn() -> Response + Send + Sync + 'static) -> Methods {
    Methods::get(boxed(make_sync(move |_| answer())))
}

fn boxed(
    endpoint: impl poem::Endpoint<Output = impl IntoResponse + 'static> + 'static,
) -> BoxEndpoint<'static> {
    endpoint.map_to_response().boxed()
}
