//! The configuration file: TOML with one key per setting.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::error::ConfigError;
use crate::problem::Problem;

/// The file that is read if no file is named. This file may be missing.
pub const DEFAULT_FILE: &str = "/etc/signet/signet.toml";

/// The contents of a configuration file. The contents may be secret, so there is no `Debug`.
#[derive(Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
    pub(super) errors: Vec<ConfigError>,
}

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

impl File {
    /// Reads the file `path`, or the default file if it exists.
    pub(super) fn read(path: Option<PathBuf>) -> Option<Self> {
        let is_default = path.is_none();
        let path = path.unwrap_or_else(|| DEFAULT_FILE.into());
        let parsed = match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_default => return None,
            Err(error) => Self {
                errors: vec![ConfigError {
                    location: path.display().to_string(),
                    problem: unreadable(&error),
                }],
                ..Self::default()
            },
        };
        Some(Self { path, ..parsed })
    }

    fn parse(path: &Path, text: &str) -> Self {
        let path = path.display();
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut file = Self::default();
        for error in errors {
            let line = error.span().map(|span| format!(":{}", line(span.start)));
            file.errors.push(ConfigError {
                location: format!("{path}{}", line.unwrap_or_default()),
                // Only the message: the whole error quotes the line, which may contain a secret.
                problem: Problem::new(format!("invalid TOML: {}", error.message())).hint(
                    "write each setting as NAME = VALUE, and text in quotes, as in log = \"info\"",
                ),
            });
        }
        // The entries of a file with syntax errors are not reliable.
        if file.errors.is_empty() {
            for (key, value) in table.into_inner() {
                let line = line(key.span().start);
                let key = key.into_inner().into_owned();
                if let Some(value) = json(value.into_inner()) {
                    file.entries.push(Entry { key, value, line });
                } else {
                    let key = key.escape_debug();
                    file.errors.push(ConfigError {
                        location: format!("{path}:{line}"),
                        problem: Problem::new(format!(
                            "{key} is neither a whole number of 64 bits nor a string in quotes"
                        )),
                    });
                }
            }
            file.entries.sort_by_key(|entry| entry.line);
        }
        file
    }
}

fn unreadable(error: &io::Error) -> Problem {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run this command as the user of the service (`sudo -u signet`), or choose another file with --config"
        }
        _ => "choose another file with --config",
    };
    Problem::new(format!("cannot read the file: {error}")).hint(hint)
}

/// Converts a value to JSON. Returns `None` for fractions, dates and numbers beyond 64 bits, which no setting has.
fn json(value: DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.ok()?.into()
        }
        DeValue::Boolean(value) => value.into(),
        DeValue::Array(values) => {
            let values = values.into_iter().map(|value| json(value.into_inner()));
            Value::Array(values.collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| {
                Some((key.into_inner().into_owned(), json(value.into_inner())?))
            };
            Value::Object(table.into_iter().map(entry).collect::<Option<_>>()?)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::path::Path;

    use super::{ConfigError, File};

    fn parse(text: &str) -> File {
        File::parse(Path::new("a.toml"), text)
    }

    #[test]
    fn parse_returns_keys_with_values_and_lines() {
        let file = parse("# a comment\nb = 0x10\n\na = ['x', \"y\"]\n[t]\nc = true\n");
        let read: Vec<_> = file
            .entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.line, &entry.value))
            .collect();
        let (b, a, t) = (json!(16), json!(["x", "y"]), json!({ "c": true }));
        assert_eq!(read, [("b", 2, &b), ("a", 4, &a), ("t", 5, &t)]);
    }

    #[test]
    fn values_of_other_types_are_rejected_without_being_shown() {
        for value in ["1.5", "2027-01-31", "12345678901234567890", "[1.5]"] {
            let file = parse(&format!("jwt_secret = {value}\n"));
            let [ConfigError { location, problem }] = file.errors.as_slice() else {
                panic!("{:?}", file.errors);
            };
            assert_eq!(location, "a.toml:1");
            let message = &problem.message;
            assert!(message.starts_with("jwt_secret is neither"), "{message}");
            assert!(
                file.entries.is_empty() && !message.contains(value),
                "{message}"
            );
        }
    }

    #[test]
    fn syntax_errors_have_lines_and_do_not_quote_the_file() {
        let file = parse("a = 1\njwt_secret = hunter2\nlog = \"info\nlog = 1\n");
        let errors = format!("{:?}", file.errors);
        assert!(
            errors.contains("a.toml:2\"") && errors.contains("a.toml:3\""),
            "{errors}"
        );
        assert!(!errors.contains("hunter2"), "{errors}");
        assert!(file.entries.is_empty());
    }
}
