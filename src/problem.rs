//! An error with its remedy.

/// An error for an operator. Nobody distinguishes its causes, so the message and the hint are written where the failure is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What failed, and why.
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
