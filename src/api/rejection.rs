//! The rejections that all operations have in common: invalid requests, rate limits, and failures of the service.

use std::fmt;

use poem::http::StatusCode;
use tracing::{Span, error, warn};

use crate::auth::{InternalError, RateLimited};

/// Why a request was rejected, by an extractor or by the operation.
#[derive(Clone, Debug)]
pub enum Rejection {
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than [`super::BodyLimits::max_bytes`].
    PayloadTooLarge,
    /// The media type, which is given here, is not JSON.
    UnsupportedMediaType(String),
    /// The body is not JSON. The text is the message of the parser.
    Malformed(String),
    /// The body does not match its schema.
    Invalid(ErrorMessages),
    /// Too many attempts failed.
    RateLimited(RateLimited),
    /// The service is temporarily unavailable.
    Unavailable {
        /// Seconds after which the client should retry.
        retry_after: u32,
    },
    /// The service failed.
    Failed,
}

/// The messages of a response: by field, or one `detail`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorMessages {
    fields: Vec<(String, Vec<String>)>,
    pub(super) detail: Option<String>,
}

impl ErrorMessages {
    /// Creates messages from one message for each field.
    pub(super) fn of_fields<const N: usize>(messages: [(&str, &str); N]) -> Self {
        let mut all = Self::default();
        for (field, message) in messages {
            all.add(field, vec![message.to_owned()]);
        }
        all
    }

    /// Adds the messages of a field.
    pub(super) fn add(&mut self, field: &str, messages: Vec<String>) {
        self.fields.push((field.to_owned(), messages));
    }

    /// Removes and returns the messages of a field.
    pub(super) fn take(&mut self, field: &str) -> Option<Vec<String>> {
        let position = self.fields.iter().position(|(name, _)| name == field)?;
        Some(self.fields.swap_remove(position).1)
    }
}

/// The message of all unexpected failures. Their causes are only logged.
pub(crate) const INTERNAL_ERROR_MESSAGE: &str = "A server error occurred.";

impl Rejection {
    /// Rejects the request as a whole with one message under `non_field_errors`.
    pub(super) fn refused(message: &str) -> Self {
        Self::Invalid(ErrorMessages::of_fields([("non_field_errors", message)]))
    }

    /// Returns the messages of the response.
    pub(super) fn messages(&self) -> ErrorMessages {
        match self {
            Self::Invalid(messages) => messages.clone(),
            other => ErrorMessages {
                detail: Some(other.to_string()),
                ..ErrorMessages::default()
            },
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTimeout => f.write_str("The request body did not arrive in time."),
            Self::PayloadTooLarge => f.write_str("The request body is too large."),
            Self::UnsupportedMediaType(given) => {
                write!(f, "Unsupported media type \"{given}\" in request.")
            }
            Self::Malformed(message) => write!(f, "JSON parse error - {message}"),
            Self::Invalid(_) => f.write_str("The request body does not fit its schema."),
            Self::RateLimited(RateLimited { seconds }) => write!(
                f,
                "Request was throttled. Expected available in {seconds} seconds."
            ),
            Self::Unavailable { .. } => {
                f.write_str("Service temporarily unavailable, try again later.")
            }
            Self::Failed => f.write_str(INTERNAL_ERROR_MESSAGE),
        }
    }
}

impl std::error::Error for Rejection {}

impl poem::error::ResponseError for Rejection {
    /// Required by `poem::Error`. Operations convert the rejection into their [`super::response::Response`] instead.
    fn status(&self) -> StatusCode {
        match self {
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
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
