//! An error with its remedy.

/// An error for an operator. Callers only print the error, so its texts are next to the check that fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The failure and its cause.
    pub message: String,
    /// How to fix the cause, if the cause is known.
    pub hint: Option<String>,
}

impl Problem {
    /// An error without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            message,
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.hint_option(Some(hint))
    }

    /// Replaces the hint.
    #[must_use]
    pub fn hint_option(self, hint: Option<impl Into<String>>) -> Self {
        let hint = hint.map(Into::into);
        Self { hint, ..self }
    }
}
