//! Errors in the configuration.

use std::fmt;

/// An error in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable, the flag, or the line and key of the file.
    pub location: String,
    /// How to fix the error.
    pub hint: Option<String>,
    pub(super) message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// The part of an error without its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            message,
            hint: None,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { hint, ..self }
    }

    pub(super) fn at(self, location: String) -> ConfigError {
        ConfigError {
            location,
            hint: self.hint,
            message: self.message,
        }
    }
}
