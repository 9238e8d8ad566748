//! Documented exchanges. The examples are built from the types of requests and responses.

use futures_util::FutureExt;
use poem::{IntoResponse, http::StatusCode};
use poem_openapi::types::ToJSON;
use serde_json::Value;

use super::{body, rejection::Rejection};
use crate::auth::RateLimited;

/// An operation with examples.
pub(super) trait HasExamples {
    /// Returns the exchanges in the order of the document. The tokens expire after `expires_in` seconds.
    fn exchanges(expires_in: i64) -> Vec<Exchange>;
}

/// A request and its response, or only a response if no valid request causes it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// A short name that is unique in the operation.
    pub name: &'static str,
    /// A summary for the reader.
    pub summary: &'static str,
    /// The name and the body of the request. The name differs from `name` if the example cannot be repeated.
    pub request: Option<(&'static str, Value)>,
    /// The status of the response.
    pub status: StatusCode,
    /// The body of the response.
    pub response: Value,
}

impl Exchange {
    /// Creates an exchange without a request.
    pub(super) fn response(
        name: &'static str,
        summary: &'static str,
        response: impl IntoResponse,
    ) -> Self {
        let response = response.into_response();
        let status = response.status();
        let body = response
            .into_body()
            .into_vec()
            .now_or_never()
            .expect("the body is in memory")
            .expect("the body is complete");
        Self {
            name,
            summary,
            request: None,
            status,
            response: serde_json::from_slice(&body).expect("a response is JSON"),
        }
    }

    /// Adds the request.
    pub(super) fn with_request(self, request: &impl ToJSON) -> Self {
        let name = self.name;
        self.with_expired_request(name, request)
    }

    /// Adds a request whose token has expired by now. The other name shows that a running service rejects the request.
    pub(super) fn with_expired_request(self, name: &'static str, request: &impl ToJSON) -> Self {
        Self {
            request: request.to_json().map(|body| (name, body)),
            ..self
        }
    }
}

/// Returns the examples of errors that all operations have in common.
pub(super) fn common_error_examples<A: IntoResponse>(
    response: impl Fn(Rejection) -> A,
) -> Vec<Exchange> {
    let malformed = body::parse("{", &[]).expect_err("the text is not JSON");
    let throttled = Rejection::RateLimited(RateLimited { seconds: 90 });
    let text = Rejection::UnsupportedMediaType("text/plain".to_owned());
    [
        ("malformed", "A body that is not JSON", malformed),
        (
            "too_slow",
            "A body that stopped arriving",
            Rejection::BodyTimeout,
        ),
        (
            "too_large",
            "A body over 64 KiB",
            Rejection::PayloadTooLarge,
        ),
        (
            "wrong_media_type",
            "A body that is declared as something else",
            text,
        ),
        ("throttled", "Too many failed attempts lately", throttled),
        ("failed", "A fault of the service", Rejection::Failed),
        (
            "unavailable",
            "A database out of reach, or more logins at once than can be hashed in time",
            Rejection::Unavailable { retry_after: 5 },
        ),
    ]
    .map(|(name, summary, rejection)| Exchange::response(name, summary, response(rejection)))
    .into()
}
