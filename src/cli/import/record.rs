//! An account in the format of its source.

use std::fmt;

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
    pub(super) id: FieldValue,
    pub(super) email: FieldValue,
    pub(super) username: FieldValue,
    pub(super) password: FieldValue,
    pub(super) is_active: FieldValue,
    pub(super) last_login: FieldValue,
    pub(super) date_joined: FieldValue,
}

impl Record {
    /// Returns a record without fields.
    pub(super) fn new(position: SourcePosition) -> Self {
        Self {
            position,
            id: FieldValue::Missing,
            email: FieldValue::Missing,
            username: FieldValue::Missing,
            password: FieldValue::Missing,
            is_active: FieldValue::Missing,
            last_login: FieldValue::Missing,
            date_joined: FieldValue::Missing,
        }
    }

    /// Returns the ID or one of [`FIELDS`]. Returns `None` for any other name.
    pub(super) fn field_mut(&mut self, name: &str) -> Option<&mut FieldValue> {
        Some(match name {
            "id" => &mut self.id,
            "email" => &mut self.email,
            "username" => &mut self.username,
            "password" => &mut self.password,
            "is_active" => &mut self.is_active,
            "last_login" => &mut self.last_login,
            "date_joined" => &mut self.date_joined,
            _ => return None,
        })
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
