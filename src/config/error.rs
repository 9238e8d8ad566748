//! Errors in the configuration.

use crate::problem::Problem;

/// An error in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {problem}")]
pub struct ConfigError {
    /// The variable, the flag, or the line and key of the file.
    pub location: String,
    /// The error.
    pub problem: Problem,
}
