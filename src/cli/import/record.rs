//! An account in the format of its source.

use std::{collections::HashMap, fmt};

use crate::text::printable;

/// The imported fields, by Django's names.
pub(super) const FIELDS: [&str; 6] = [
    "email",
    "username",
    "password",
    "is_active",
    "last_login",
    "date_joined",
];

/// The longest text of a field that is imported, in bytes. Every email and hash is shorter.
pub(super) const MAX_TEXT: usize = 4096;

/// The position of a record in its source. Lines, columns and rows begin with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SourcePosition {
    Character { line: u64, column: u64 },
    Line(u64),
    Row(u64),
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { line, column } => write!(f, "line {line}, column {column}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum FieldValue {
    /// The source does not have the field.
    #[default]
    Missing,
    Null,
    Bool(bool),
    /// The digits as written.
    Number(String),
    Text(String),
    /// A text that is longer than [`MAX_TEXT`].
    TooLong,
    /// A list or an object.
    Nested,
}

impl FieldValue {
    pub(super) fn text(text: String) -> Self {
        if text.len() > MAX_TEXT {
            Self::TooLong
        } else {
            Self::Text(text)
        }
    }
}

/// An account in the format of its source.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) position: SourcePosition,
    /// `id` and the fields of [`FIELDS`] that the source has.
    pub(super) fields: HashMap<&'static str, FieldValue>,
}

impl Record {
    /// Returns a record without fields.
    pub(super) fn new(position: SourcePosition) -> Self {
        let fields = HashMap::new();
        Self { position, fields }
    }

    /// Removes and returns a field.
    pub(super) fn take(&mut self, name: &str) -> FieldValue {
        self.fields.remove(name).unwrap_or_default()
    }
}

/// Returns the start of a text, safe for a terminal.
pub(super) fn start(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    let rest = if start.len() < text.len() { "…" } else { "" };
    printable(&start) + rest
}

/// Quotes the start of a text.
pub(super) fn quoted_start(text: &str) -> String {
    format!("\"{}\"", start(text))
}
