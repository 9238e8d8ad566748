//! Why the reading of a file ended early.

use crate::cli::error::CliError;

/// Why the reading of a file ended early.
pub(super) enum Stop {
    /// The file is invalid. The message has the line.
    Invalid(CliError),
    /// The import has ended.
    Canceled,
}

impl Stop {
    pub(super) fn invalid(message: String) -> Self {
        Self::Invalid(message.into())
    }

    pub(super) fn with_hint(message: String, hint: &str) -> Self {
        Self::Invalid(CliError::from(message).hint(hint))
    }
}
