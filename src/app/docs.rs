//! The documentation: Swagger UI from the binary itself, and the document it shows.

use std::sync::Arc;

use poem::{
    EndpointExt, IntoResponse, Request, Response, Result, Route,
    endpoint::{BoxEndpoint, make_sync},
    error::NotFoundError,
    http::{StatusCode, header::LOCATION},
};
use utoipa_swagger_ui::Config;

use super::methods::Methods;
use crate::api::Document;

/// The paths of the pages.
pub(super) const PATHS: [&str; 5] = ["/", "/docs", "/docs/", "/openapi.json", "/openapi.yaml"];
/// Below it lie the files of Swagger UI.
pub(super) const FILES: &str = "/docs/";

/// Adds the pages that show `document`.
pub(super) fn routes(route: Route, document: &Document) -> Route {
    // Relative everywhere, so that the pages also work below a path prefix.
    let config = Arc::new(
        Config::from("../openapi.json")
            .try_it_out_enabled(true)
            .display_request_duration(true)
            // Without this, the page asks a validator on the network.
            .validator_url("none"),
    );
    let swagger_ui = make_sync(move |request: Request| {
        let file = request.raw_path_param("file").unwrap_or_default();
        swagger_file(file, &config)
    });
    route
        .at("/", page(|| redirect("docs/")))
        .at("/docs", page(|| redirect("docs/")))
        .at("/docs/*file", Methods::get(boxed(swagger_ui)))
        .at(
            "/openapi.json",
            text("application/json", document.to_json()),
        )
        .at(
            "/openapi.yaml",
            text("application/yaml", document.to_yaml()),
        )
}

fn swagger_file(file: &str, config: &Arc<Config<'static>>) -> Result<Response> {
    let file = utoipa_swagger_ui::serve(file, Arc::clone(config))
        .map_err(|error| {
            poem::Error::from_string(error.to_string(), StatusCode::INTERNAL_SERVER_ERROR)
        })?
        .ok_or(NotFoundError)?;
    Ok(Response::builder()
        .content_type(&file.content_type)
        .body(file.bytes.into_owned()))
}

fn text(media_type: &'static str, text: String) -> Methods {
    page(move || {
        Response::builder()
            .content_type(media_type)
            .body(text.clone())
    })
}

fn redirect(to: &'static str) -> Response {
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, to)
        .finish()
}

fn page(answer: impl Fn() -> Response + Send + Sync + 'static) -> Methods {
    Methods::get(boxed(make_sync(move |_| answer())))
}

fn boxed(
    endpoint: impl poem::Endpoint<Output = impl IntoResponse + 'static> + 'static,
) -> BoxEndpoint<'static> {
    endpoint.map_to_response().boxed()
}
