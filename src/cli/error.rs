//! The error of a command, with its hint and its exit code.

use std::fmt;

use clap::builder::styling::{Style, Styles};

use crate::{
    accounts::{ChangeError, DatabaseError},
    config::ConfigError,
    problem::Problem,
    text::printable,
};

/// The reason why a command failed. The text is safe for a terminal: [`printable`] has replaced control characters.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) message: String,
    /// How to fix the cause.
    pub(super) hint: Option<String>,
    pub(super) code: u8,
    /// Further errors of the settings.
    others: Vec<CliError>,
}

impl CliError {
    fn new(message: &str, code: u8) -> Self {
        Self {
            message: printable(message),
            hint: None,
            code,
            others: Vec::new(),
        }
    }

    /// An error in the arguments or settings.
    pub(super) fn usage(message: impl AsRef<str>) -> Self {
        Self::new(message.as_ref(), 2)
    }

    /// Makes this error an error in the settings.
    pub(super) fn of_settings(self) -> Self {
        Self { code: 2, ..self }
    }

    /// Adds a hint. Replaces an earlier hint.
    pub(super) fn hint(self, hint: impl AsRef<str>) -> Self {
        self.hint_option(Some(hint))
    }

    /// Adds a hint, if there is one.
    pub(super) fn hint_option(self, hint: Option<impl AsRef<str>>) -> Self {
        let hint = hint.map(|hint| printable(hint.as_ref())).or(self.hint);
        Self { hint, ..self }
    }

    /// Appends the state after the failure, such as `nothing was changed`.
    pub(super) fn state(self, state: &str) -> Self {
        let message = format!("{}; {}", self.message, printable(state));
        Self { message, ..self }
    }

    /// Adds what failed to the start of the message.
    pub(super) fn in_context(self, context: &str) -> Self {
        let message = format!("{}: {}", printable(context), self.message);
        Self { message, ..self }
    }

    /// The errors in the settings.
    pub(super) fn config(errors: Vec<ConfigError>) -> Self {
        Self::all(
            errors
                .into_iter()
                .map(|error| Self::usage(error.to_string()).hint_option(error.problem.hint)),
        )
    }

    /// Joins errors. The exit code is the code of the first error.
    pub(super) fn all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut errors = errors.into_iter();
        let first = errors.next();
        let first = first.unwrap_or_else(|| Self::usage("the configuration is invalid"));
        Self {
            others: errors.collect(),
            ..first
        }
    }

    /// The user pressed Ctrl-C before the command changed anything. Shells use the exit code 130 for SIGINT.
    pub(super) fn interrupted() -> Self {
        Self::new("interrupted: no changes were made", 130)
    }

    /// A failed query of a command.
    pub(super) fn database(error: DatabaseError) -> Self {
        let error = ChangeError::from(error);
        Self::from(format!("the database query failed: {error}")).hint_option(error.hint())
    }
}

impl From<String> for CliError {
    fn from(message: String) -> Self {
        Self::new(&message, 1)
    }
}

impl From<&str> for CliError {
    fn from(message: &str) -> Self {
        Self::new(message, 1)
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self::from(problem.message).hint_option(problem.hint)
    }
}

/// The lines of the error, in the colors of clap: `error: FAILURE: CAUSE`, and `hint: REMEDY` if there is a remedy.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let styles = Styles::styled();
        let label = |style: &Style, label| format!("{style}{label}:{style:#}");
        write!(f, "{} {}", label(styles.get_error(), "error"), self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n{} {hint}", label(styles.get_valid(), "hint"))?;
        }
        self.others
            .iter()
            .try_for_each(|error| write!(f, "\n{error}"))
    }
}
