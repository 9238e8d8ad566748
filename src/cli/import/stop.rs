//! Why the reading of a file ended early.

/// Why the reading of a file ended early.
pub(super) enum Stop {
    /// The file is invalid. The message has the line.
    Invalid(String),
    /// The import has ended.
    Canceled,
}
