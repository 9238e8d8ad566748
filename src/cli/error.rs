//! The error of a command, with its exit code.

use std::fmt;

use crate::{
    accounts::{ChangeError, DatabaseError},
    text::printable,
};

/// The reason why a command failed. The message is safe for a terminal: [`printable`] has replaced control characters.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) message: String,
    pub(super) code: u8,
}

impl CliError {
    /// An error in the arguments or settings.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: printable(&message.into()),
            code: 2,
        }
    }

    /// Makes this error an error in the settings.
    pub(super) fn of_settings(self) -> Self {
        Self { code: 2, ..self }
    }

    /// Several errors in the settings, one per line.
    pub(super) fn of_lines(lines: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| printable(&line.to_string()))
            .collect();
        Self {
            message: lines.join("\nerror: "),
            code: 2,
        }
    }

    /// The user pressed Ctrl-C before the command changed anything. Shells use the exit code 130 for SIGINT.
    pub(super) fn interrupted() -> Self {
        Self {
            message: "interrupted: no changes were made".to_owned(),
            code: 130,
        }
    }

    /// A failed query of a command.
    pub(super) fn database(error: DatabaseError) -> Self {
        let error = ChangeError::from(error);
        format!("the database did not answer: {error}").into()
    }
}

impl From<String> for CliError {
    fn from(message: String) -> Self {
        Self {
            message: printable(&message),
            code: 1,
        }
    }
}

impl From<&str> for CliError {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}
