//! What every operation may say in the place of an answer of its own: that it could not take the
//! request, or that the service is at fault.

use std::fmt;

use poem::http::StatusCode;
use tracing::{error, warn};

use super::schema::FieldErrors;
use crate::auth::{InternalError, RateLimited};

/// Why a request gets none of the answers that are its operation's own.
#[derive(Clone, Debug)]
pub enum Rejection {
    /// Its body did not arrive in time.
    TooSlow,
    /// It is larger than [`super::BodyLimits::size`].
    TooLarge,
    /// It is not declared as JSON; here is what it is declared as.
    UnsupportedMediaType(String),
    /// It is not JSON; here is where it fails.
    Malformed(String),
    /// It is JSON, but not what the schema asks for.
    Invalid(FieldErrors),
    /// Too many attempts failed.
    RateLimited(RateLimited),
    /// The service cannot answer for the moment, through no fault of the request.
    Unavailable {
        /// When to try again, in seconds.
        retry_after: u32,
    },
    /// The service failed, through no fault of the request.
    Failed,
}

/// What is told of every fault whose end is not in sight.
pub(crate) const FAILED: &str = "A server error occurred.";

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow => f.write_str("The request body did not arrive in time."),
            Self::TooLarge => f.write_str("The request body is too large."),
            Self::UnsupportedMediaType(given) => {
                write!(f, "Unsupported media type \"{given}\" in request.")
            }
            Self::Malformed(place) => write!(f, "JSON parse error - {place}"),
            Self::Invalid(_) => f.write_str("The request body does not fit its schema."),
            Self::RateLimited(RateLimited { seconds }) => write!(
                f,
                "Request was throttled. Expected available in {seconds} seconds."
            ),
            Self::Unavailable { .. } => {
                f.write_str("Service temporarily unavailable, try again later.")
            }
            Self::Failed => f.write_str(FAILED),
        }
    }
}

impl std::error::Error for Rejection {}

impl poem::error::ResponseError for Rejection {
    /// Only for an operation without answers of its own; each of ours turns a rejection into one.
    fn status(&self) -> StatusCode {
        match self {
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Logs a fault of our own; the wire tells nothing of its cause.
impl From<InternalError> for Rejection {
    fn from(fault: InternalError) -> Self {
        let Some(wait) = fault.retry_after() else {
            error!(%fault, "a fault of our own");
            return Self::Failed;
        };
        warn!(%fault, "told to try again later");
        // Rounded up: earlier would be in vain.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        Self::Unavailable {
            retry_after: seconds.try_into().unwrap_or(u32::MAX),
        }
    }
}

/// What reading a request ran into; if it is none of ours, it is logged.
impl From<poem::Error> for Rejection {
    fn from(error: poem::Error) -> Self {
        error.downcast().unwrap_or_else(|error| {
            error!(%error, "a request could not be read");
            Self::Failed
        })
    }
}
