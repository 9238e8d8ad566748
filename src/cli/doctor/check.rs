//! The result of one check.

use std::fmt;

use crate::text::printable;

/// The result of one check.
pub(super) struct Check {
    pub(super) verdict: Verdict,
    pub(super) subject: &'static str,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// The service works, and an operator should read the message.
    Doubtful,
    /// The service does not work, or does not work for all clients.
    Bad,
}

impl Check {
    pub(super) fn good(subject: &'static str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Good, subject, message)
    }

    pub(super) fn doubtful(subject: &'static str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Doubtful, subject, message)
    }

    pub(super) fn bad(subject: &'static str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Bad, subject, message)
    }

    fn new(verdict: Verdict, subject: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            verdict,
            subject,
            message,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = printable(&self.message);
        write!(f, "{:9} {:14} {message}", self.verdict, self.subject)
    }
}
