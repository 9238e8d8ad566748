//! Error responses outside of operations.

use poem::{Response, error::NotFoundError, http::StatusCode};
use serde_json::json;
use tracing::error;

use crate::api::INTERNAL_ERROR_MESSAGE;

/// Returns a JSON response with one `detail`.
pub(super) fn error_response(status: StatusCode, detail: &str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .body(json!({ "detail": detail }).to_string())
}

/// Returns the response to an error of poem: no route matches, or an endpoint failed.
pub(super) fn from_poem_error(error: poem::Error) -> Response {
    if error.is::<NotFoundError>() {
        return error_response(StatusCode::NOT_FOUND, "Not found.");
    }
    error!(%error, "cannot handle a request");
    internal_error()
}

/// Returns the response to an unexpected failure.
pub(super) fn internal_error() -> Response {
    error_response(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_MESSAGE)
}
