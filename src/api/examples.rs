//! Documented exchanges. Each response is built by the code that responds to requests.

use futures_util::FutureExt;
use poem::{IntoResponse, http::StatusCode};
use serde_json::{Value, json};

use super::{
    body,
    json::MEDIA_TYPE,
    obtain::Obtain,
    operation::Operation,
    rejection::Rejection,
    response::Response,
    schema::message::{BLANK, NOT_A_STRING, NUL, NULL, REQUIRED},
    token::Token,
};
use crate::auth::{RateLimited, TokenError, TokenRejection};

pub(super) mod obtain;
pub(super) mod refresh;
pub(super) mod verify;

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
    fn new<O: Operation>(name: &'static str, summary: &'static str, response: Response<O>) -> Self {
        let response = response.into_response();
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

    /// Creates an exchange that succeeds with the documented token, without a request.
    fn success(name: &'static str, summary: &'static str, expires_in: i64) -> Self {
        let token = Token::documented(expires_in);
        Self::new(name, summary, Response::<Obtain>::Ok(token.into()))
    }

    /// Creates an exchange that is rejected, without a request. All operations have the same responses to rejected requests.
    fn rejected(
        name: &'static str,
        summary: &'static str,
        rejection: impl Into<Rejection>,
    ) -> Self {
        let response: Response<Obtain> = rejection.into().into();
        Self::new(name, summary, response)
    }

    /// Creates an exchange whose request does not match its schema. Such a request is not an example of the document.
    fn invalid(name: &'static str, summary: &'static str, request: Value, messages: Value) -> Self {
        Self::rejected(name, summary, Rejection::Invalid(messages)).with_cause(Cause::Json(request))
    }

    /// Adds the request. The contract page lists the statuses of such examples in its overview.
    fn with_request(self, request: Value) -> Self {
        let name = self.name;
        self.with_expired_request(name, request)
    }

    /// Adds a request whose token has expired by now. The other name shows that a running service rejects the request.
    fn with_expired_request(self, name: &'static str, request: Value) -> Self {
        Self {
            request: Some((name, request.clone())),
            cause: Cause::Json(request),
            ..self
        }
    }

    fn with_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

/// Returns the examples of an operation on a token. `success` is the name and the summary of the example that succeeds, and `own` are the
/// examples that only this operation has.
fn on_token(
    success: (&'static str, &'static str),
    own: Vec<Exchange>,
    expires_in: i64,
) -> Vec<Exchange> {
    let (name, summary) = success;
    let request = json!({ "token": Token::documented(expires_in).token });
    let success = Exchange::success(name, summary, expires_in);
    let mut examples = vec![success.with_expired_request("documented", request)];
    examples.extend(invalid_tokens());
    examples.extend(rejected_tokens());
    examples.extend(own);
    examples.extend(without_token());
    examples.extend(common());
    examples
}

/// Returns the examples of tokens that are not valid.
fn invalid_tokens() -> [Exchange; 3] {
    let error = TokenRejection::InvalidToken(TokenError::Segments);
    [
        Exchange::rejected("invalid_token", "The token is invalid", error)
            .with_request(json!({ "token": "not a token" })),
        Exchange::invalid(
            "blank_token",
            "An empty token",
            json!({ "token": " " }),
            json!({ "token": [BLANK] }),
        ),
        Exchange::invalid(
            "null_character",
            "A null character in the token",
            json!({ "token": "a.b.c\0" }),
            json!({ "token": [NUL] }),
        ),
    ]
}

/// Returns the examples of tokens with a valid signature that every operation rejects.
fn rejected_tokens() -> [Exchange; 4] {
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
    .map(|(name, summary, error)| Exchange::rejected(name, summary, error))
}

/// Returns the examples of requests without a token.
fn without_token() -> [Exchange; 3] {
    [
        Exchange::invalid(
            "missing_token",
            "The payload must contain a token",
            json!({}),
            json!({ "token": [REQUIRED] }),
        ),
        Exchange::invalid(
            "null_token",
            "A token that is null",
            json!({ "token": null }),
            json!({ "token": [NULL] }),
        ),
        Exchange::invalid(
            "not_a_string",
            "A token of another JSON type",
            json!({ "token": 1234 }),
            json!({ "token": [NOT_A_STRING] }),
        ),
    ]
}

/// Returns the examples of errors that all operations have in common.
fn common() -> [Exchange; 7] {
    const MALFORMED: &str = "{";
    const OTHER_MEDIA_TYPE: &str = "text/plain";
    let malformed = body::parse(MALFORMED, &[]).expect_err("the text is not JSON");
    let media_type = Rejection::UnsupportedMediaType(OTHER_MEDIA_TYPE.to_owned());
    let throttled = Rejection::RateLimited(RateLimited { seconds: 90 });
    let unavailable = Rejection::Unavailable { retry_after: 5 };
    [
        Exchange::rejected("malformed", "A body that is not JSON", malformed).with_cause(
            Cause::Text {
                media_type: MEDIA_TYPE,
                body: MALFORMED,
            },
        ),
        Exchange::rejected(
            "too_slow",
            "A body that did not arrive in time",
            Rejection::BodyTimeout,
        ),
        Exchange::rejected(
            "too_large",
            "A body over 64 KiB",
            Rejection::PayloadTooLarge,
        )
        .with_cause(Cause::Oversized),
        Exchange::rejected(
            "wrong_media_type",
            "A body with another media type",
            media_type,
        )
        .with_cause(Cause::Text {
            media_type: OTHER_MEDIA_TYPE,
            body: "{}",
        }),
        Exchange::rejected("throttled", "Too many failed attempts", throttled),
        Exchange::rejected("failed", "An internal error", Rejection::Failed),
        Exchange::rejected(
            "unavailable",
            "An unreachable database, or more concurrent logins than the service can hash in time",
            unavailable,
        ),
    ]
}
