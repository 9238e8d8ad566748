//! The rejections that all operations have in common: invalid requests, rate limits, and failures of the service.

use std::fmt;

use poem::http::StatusCode;
use serde_json::{Value, json};
use tracing::{Span, error, warn};

use crate::auth::{InternalError, RateLimited};

/// Why a request was rejected, by an extractor or by the operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Rejection {
    /// The body did not arrive in time.
    #[error("The request body did not arrive in time.")]
    BodyTimeout,
    /// The body is larger than [`super::BodyLimits::max_bytes`].
    #[error("The request body is too large.")]
    PayloadTooLarge,
    /// The media type, which is given here, is not JSON.
    #[error("Unsupported media type \"{0}\" in request.")]
    UnsupportedMediaType(String),
    /// The body is not JSON. The text is the message of the parser.
    #[error("JSON parse error - {0}")]
    Malformed(String),
    /// The request is invalid. The JSON has a list of messages for each field.
    #[error("The request is invalid: {0}")]
    Invalid(Value),
    /// Too many attempts failed.
    #[error("Request was throttled. Expected available in {} seconds.", .0.seconds)]
    RateLimited(RateLimited),
    /// The service is temporarily unavailable.
    #[error("Service temporarily unavailable, try again later.")]
    Unavailable {
        /// Seconds after which the client should retry.
        retry_after: u32,
    },
    /// The service failed.
    #[error("{INTERNAL_ERROR_MESSAGE}")]
    Failed,
}

/// The message of all unexpected failures. Their causes are only logged.
pub(crate) const INTERNAL_ERROR_MESSAGE: &str = "A server error occurred.";

impl Rejection {
    /// Rejects the request as a whole with one message under `non_field_errors`.
    pub(super) fn refused(message: &str) -> Self {
        Self::Invalid(json!({ "non_field_errors": [message] }))
    }

    /// Returns the body of the response: the messages by field, or one `detail`.
    pub(super) fn body(&self) -> Value {
        match self {
            Self::Invalid(messages) => messages.clone(),
            other => json!({ "detail": other.to_string() }),
        }
    }
}

/// Passes the rejection of an extractor to the operation, whose [`super::response::Response`] has the status.
impl From<Rejection> for poem::Error {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection, StatusCode::BAD_REQUEST)
    }
}

/// Records why a request was rejected in the log line of the request. The response does not contain the reason.
pub(super) fn record_reason(error: &impl fmt::Display) {
    Span::current().record("reason", tracing::field::display(error));
}

/// Logs the cause, which the response does not contain.
impl From<InternalError> for Rejection {
    fn from(error: InternalError) -> Self {
        let Some(wait) = error.retry_after() else {
            error!(%error, "internal error");
            return Self::Failed;
        };
        warn!(%error, "service unavailable");
        // Rounded up, because an earlier retry may fail.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        Self::Unavailable {
            retry_after: seconds.try_into().unwrap_or(u32::MAX),
        }
    }
}

/// Converts an error of an extractor. Unexpected errors are logged.
impl From<poem::Error> for Rejection {
    fn from(error: poem::Error) -> Self {
        error.downcast().unwrap_or_else(|error| {
            error!(%error, "cannot read a request");
            Self::Failed
        })
    }
}
