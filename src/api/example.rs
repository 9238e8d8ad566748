//! Documented exchanges, made of the very types that the service reads and writes.

use futures_util::FutureExt;
use poem::{IntoResponse, http::StatusCode};
use poem_openapi::types::ToJSON;
use serde_json::Value;

use super::{body, rejection::Rejection};
use crate::auth::RateLimited;

/// An operation that tells its exchanges.
pub(super) trait Documented {
    /// The exchanges, in the order in which a reader should meet them. Tokens in them expire after so many seconds.
    fn exchanges(expires_in: i64) -> Vec<Exchange>;
}

/// A request and its answer, or an answer alone where no well-typed request brings it about.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Names the exchange: unique within its operation, and short.
    pub name: &'static str,
    /// One sentence for the reader.
    pub summary: &'static str,
    /// The body to send, and its name: another where a running service cannot keep the pair.
    pub request: Option<(&'static str, Value)>,
    /// The status of the answer.
    pub status: StatusCode,
    /// The body of the answer.
    pub answer: Value,
}

impl Exchange {
    /// An answer that no example request brings about.
    pub(super) fn answer(
        name: &'static str,
        summary: &'static str,
        answer: impl IntoResponse,
    ) -> Self {
        let response = answer.into_response();
        let status = response.status();
        let body = response
            .into_body()
            .into_vec()
            .now_or_never()
            .expect("an answer's body is in memory")
            .expect("an answer's body is whole");
        Self {
            name,
            summary,
            request: None,
            status,
            answer: serde_json::from_slice(&body).expect("an answer is JSON"),
        }
    }

    /// The same, brought about by `request`.
    pub(super) fn answering(self, request: &impl ToJSON) -> Self {
        let name = self.name;
        self.answering_once(name, request)
    }

    /// The same, brought about by `request` when the token in it was good: not any more, so that the two
    /// must not be taken for a pair.
    pub(super) fn answering_once(self, name: &'static str, request: &impl ToJSON) -> Self {
        Self {
            request: request.to_json().map(|body| (name, body)),
            ..self
        }
    }
}

/// The answers that every operation has, as it gives them.
pub(super) fn of_rejections<A: IntoResponse>(answer: impl Fn(Rejection) -> A) -> Vec<Exchange> {
    let malformed = body::parse("{", &[]).expect_err("it is not JSON");
    let throttled = Rejection::RateLimited(RateLimited { seconds: 90 });
    let text = Rejection::UnsupportedMediaType("text/plain".to_owned());
    [
        ("malformed", "A body that is not JSON", malformed),
        (
            "too_slow",
            "A body that stopped arriving",
            Rejection::TooSlow,
        ),
        ("too_large", "A body over 64 KiB", Rejection::TooLarge),
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
    .map(|(name, summary, rejection)| Exchange::answer(name, summary, answer(rejection)))
    .into()
}
