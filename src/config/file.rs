//! The configuration file: TOML, one key a setting.

use std::{fs, io, path::PathBuf};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "/etc/signet/signet.toml";

/// What is given in a file, and what is wrong with it. It may hold secrets, and so does not print itself.
#[derive(Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// With the line, where there is one.
    pub(super) problems: Vec<(Option<usize>, String)>,
}

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

impl File {
    /// Reads a file that was named; or without a name, the usual one, if it is there.
    pub(super) fn read(named: Option<PathBuf>) -> Option<Self> {
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let parsed = match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
                return None;
            }
            Err(error) => Self {
                problems: vec![(None, unreadable(&error))],
                ..Self::default()
            },
        };
        Some(Self { path, ..parsed })
    }

    fn parse(text: &str) -> Self {
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut file = Self::default();
        for error in errors {
            let line = error.span().map(|span| line(span.start));
            // Not the error as a whole: that quotes the line, which may be a secret.
            file.problems
                .push((line, format!("is not TOML: {}", error.message())));
        }
        // What is left of a broken file says nothing.
        if file.problems.is_empty() {
            let entries = table.into_inner().into_iter().map(|(key, value)| Entry {
                line: line(key.span().start),
                key: key.into_inner().into_owned(),
                value: json(value.into_inner()),
            });
            file.entries = entries.collect();
            file.entries.sort_by_key(|entry| entry.line);
        }
        file
    }
}

fn unreadable(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Run this as the user of the service (`sudo -u signet`), or name another file with --config"
        }
        _ => "Name another file with --config, or unset SIGNET_CONFIG",
    };
    format!("cannot be read: {error}. {advice}")
}

/// The same value, as every other way of giving a setting has it. What has no like in JSON is text.
fn json(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.map_or_else(|_| number.to_string().into(), Value::from)
        }
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(value) => value.into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(values) => values
            .into_iter()
            .map(|value| json(value.into_inner()))
            .collect(),
        DeValue::Table(table) => {
            let entries = table.into_iter();
            entries
                .map(|(key, value)| (key.into_inner().into_owned(), json(value.into_inner())))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::File;

    #[test]
    fn keys_have_their_values_and_lines() {
        let file = File::parse("# a comment\nb = 0x10\n\na = ['x', \"y\"]\n[t]\nc = true\n");
        let read: Vec<_> = file
            .entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.line, &entry.value))
            .collect();
        let (b, a, t) = (json!(16), json!(["x", "y"]), json!({ "c": true }));
        assert_eq!(read, [("b", 2, &b), ("a", 4, &a), ("t", 5, &t)]);
    }

    #[test]
    fn every_fault_of_a_file_is_told_with_its_line_and_without_its_text() {
        let file = File::parse("a = 1\njwt_secret = hunter2\nlog = \"info\nlog = 1\n");
        let lines: Vec<_> = file.problems.iter().map(|(line, _)| *line).collect();
        assert!(
            lines.contains(&Some(2)) && lines.contains(&Some(3)),
            "{lines:?}"
        );
        let said = format!("{:?}", file.problems);
        assert!(!said.contains("hunter2"), "{said}");
        assert!(file.entries.is_empty());
    }
}
