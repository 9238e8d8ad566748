//! What is told of faults of our own: that there is one, and nothing of its cause.

use tracing::error;

use super::Rejection;
use crate::auth::Fault;

/// The `detail` of every 500.
pub(crate) const FAILED: &str = "A server error occurred.";
/// The `detail` of every 503.
pub(crate) const UNAVAILABLE: &str = "Service temporarily unavailable, try again later.";
/// The `Retry-After` of a 503 whose end is not known, in seconds.
pub(crate) const RETRY_AFTER: u32 = 5;

/// Logs a fault, and tells whether the same request may well succeed in a moment.
pub(super) fn is_temporary(fault: &Fault) -> bool {
    error!(%fault, "a fault of our own");
    fault.is_temporary()
}

/// The rejection that a request ran into while it was read, or none if the fault is ours.
pub(super) fn rejection(error: poem::Error) -> Option<Rejection> {
    error
        .downcast()
        .inspect_err(|error| error!(%error, "a request could not be read"))
        .ok()
}
