//! Documented exchanges. The examples are built from the types of requests and responses.

use futures_util::FutureExt;
use poem::{IntoResponse, http::StatusCode};
use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use super::{
    body,
    json::MEDIA_TYPE,
    rejection::{ErrorMessages, Rejection},
    response::{Operation, ResponseOf},
    schema::message::{BLANK, NOT_A_STRING, NUL, NULL, REQUIRED},
};
use crate::auth::{RateLimited, TokenError, TokenRejection};

mod obtain;
mod refresh;
mod verify;

pub(super) use obtain::obtain;
pub(super) use refresh::refresh;
pub(super) use verify::verify;

/// A request and its response, or only a response if no valid request causes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// A short name that is unique in the operation.
    pub name: &'static str,
    /// A summary for the reader.
    pub summary: &'static str,
    /// The name and the body of the request. The name differs from `name` if a running service would reject the request.
    pub request: Option<(&'static str, Value)>,
    /// The cause of the response.
    pub cause: Cause,
    /// The status of the response.
    pub status: StatusCode,
    /// The header `Retry-After` of the response, in seconds.
    pub retry_after: Option<u32>,
    /// The body of the response.
    pub response: Value,
}

/// The cause of a response: a request, or a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A request with this JSON.
    Json(Value),
    /// A request with this text.
    Text {
        /// The media type of the request.
        media_type: &'static str,
        /// The body of the request.
        body: &'static str,
    },
    /// A request whose body is larger than [`super::BodyLimits::max_bytes`].
    Oversized,
    /// A state of the account, the token or the service. The request is valid.
    State,
}

impl Exchange {
    /// Creates an exchange without a request.
    fn response<O: Operation>(
        name: &'static str,
        summary: &'static str,
        result: Result<O::Output, Rejection>,
    ) -> Self {
        let response = ResponseOf::<O>::from(result).into_response();
        let status = response.status();
        let retry_after = response
            .header("retry-after")
            .and_then(|seconds| seconds.parse().ok());
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
            cause: Cause::State,
            status,
            retry_after,
            response: serde_json::from_slice(&body).expect("a response is JSON"),
        }
    }

    /// Creates an exchange that is rejected, without a request.
    fn rejected<O: Operation>(
        name: &'static str,
        summary: &'static str,
        rejection: impl Into<Rejection>,
    ) -> Self {
        Self::response::<O>(name, summary, Err(rejection.into()))
    }

    /// Adds the request. The contract page lists the statuses of such examples in its overview.
    fn with_request(self, request: &impl ToJSON) -> Self {
        let name = self.name;
        self.with_expired_request(name, request)
    }

    /// Adds a request whose token has expired by now. The other name shows that a running service rejects the request.
    fn with_expired_request(self, name: &'static str, request: &impl ToJSON) -> Self {
        let body = request.to_json().unwrap_or_default();
        Self {
            request: Some((name, body.clone())),
            cause: Cause::Json(body),
            ..self
        }
    }

    /// Adds a request that does not match its schema, and is therefore not an example of the document.
    fn with_invalid_request(self, body: Value) -> Self {
        self.with_cause(Cause::Json(body))
    }

    fn with_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

/// Returns an exchange that is rejected with these messages of fields.
fn invalid<O: Operation, const N: usize>(
    name: &'static str,
    summary: &'static str,
    messages: [(&str, &str); N],
) -> Exchange {
    let messages = ErrorMessages::of_fields(messages);
    Exchange::rejected::<O>(name, summary, Rejection::Invalid(messages))
}

/// Returns the examples of tokens that are not valid. `not_a_token` is the request of the first example.
fn invalid_tokens<O: Operation>(not_a_token: &impl ToJSON) -> [Exchange; 3] {
    let error = TokenRejection::InvalidToken(TokenError::Segments);
    [
        Exchange::rejected::<O>("invalid_token", "The token is invalid", error)
            .with_request(not_a_token),
        invalid_token_field::<O>("blank_token", "An empty token", BLANK)
            .with_invalid_request(json!({ "token": " " })),
        invalid_token_field::<O>("null_character", "A null character in the token", NUL)
            .with_invalid_request(json!({ "token": "a.b.c\0" })),
    ]
}

/// Returns the examples of tokens with a valid signature that every operation rejects.
fn rejected_tokens<O: Operation>() -> [Exchange; 4] {
    [
        (
            "expired_token",
            "The token has expired",
            TokenRejection::Expired,
        ),
        (
            "no_subject",
            "The token has no account ID",
            TokenRejection::NoSubject,
        ),
        (
            "unknown_user",
            "The account was deleted, or has another email",
            TokenRejection::UnknownAccount,
        ),
        (
            "disabled_user",
            "The account is disabled",
            TokenRejection::Disabled,
        ),
    ]
    .map(|(name, summary, error)| Exchange::rejected::<O>(name, summary, error))
}

/// Returns the examples of requests without a token.
fn invalid_token_fields<O: Operation>() -> [Exchange; 3] {
    [
        invalid_token_field::<O>(
            "missing_token",
            "The payload must contain a token",
            REQUIRED,
        )
        .with_invalid_request(json!({})),
        invalid_token_field::<O>("null_token", "A token that is null", NULL)
            .with_invalid_request(json!({ "token": null })),
        invalid_token_field::<O>("not_a_string", "A token of another JSON type", NOT_A_STRING)
            .with_invalid_request(json!({ "token": 1234 })),
    ]
}

fn invalid_token_field<O: Operation>(
    name: &'static str,
    summary: &'static str,
    message: &str,
) -> Exchange {
    invalid::<O, 1>(name, summary, [("token", message)])
}

/// Returns the examples of errors that all operations have in common.
fn common<O: Operation>() -> [Exchange; 7] {
    const MALFORMED: &str = "{";
    const OTHER_MEDIA_TYPE: &str = "text/plain";
    let malformed = body::parse(MALFORMED, &[]).expect_err("the text is not JSON");
    let media_type = Rejection::UnsupportedMediaType(OTHER_MEDIA_TYPE.to_owned());
    let throttled = Rejection::RateLimited(RateLimited { seconds: 90 });
    let unavailable = Rejection::Unavailable { retry_after: 5 };
    [
        Exchange::rejected::<O>("malformed", "A body that is not JSON", malformed).with_cause(
            Cause::Text {
                media_type: MEDIA_TYPE,
                body: MALFORMED,
            },
        ),
        Exchange::rejected::<O>(
            "too_slow",
            "A body that did not arrive in time",
            Rejection::BodyTimeout,
        ),
        Exchange::rejected::<O>(
            "too_large",
            "A body over 64 KiB",
            Rejection::PayloadTooLarge,
        )
        .with_cause(Cause::Oversized),
        Exchange::rejected::<O>(
            "wrong_media_type",
            "A body with another media type",
            media_type,
        )
        .with_cause(Cause::Text {
            media_type: OTHER_MEDIA_TYPE,
            body: "{}",
        }),
        Exchange::rejected::<O>("throttled", "Too many failed attempts", throttled),
        Exchange::rejected::<O>("failed", "An internal error", Rejection::Failed),
        Exchange::rejected::<O>(
            "unavailable",
            "An unreachable database, or more concurrent logins than the service can hash in time",
            unavailable,
        ),
    ]
}
