//! The configuration file: TOML, one key a setting.

use std::{fs, io, path::PathBuf};

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

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
            for (key, value) in table.into_inner() {
                let line = line(key.span().start);
                let key = key.into_inner().into_owned();
                if let Some(value) = json(value.into_inner()) {
                    file.entries.push(Entry { key, value, line });
                } else {
                    let key = key.escape_debug();
                    let what = "is neither a whole number nor a text, which stands in quotes";
                    file.problems.push((Some(line), format!("{key} {what}")));
                }
            }
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
        _ => "Mend that, or name another file with --config",
    };
    format!("cannot be read: {error}. {advice}")
}

/// The same value, as every other way of giving a setting has it. No setting is a fraction, a date, or past 64 bits.
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
    fn what_no_setting_can_be_is_told_without_its_value() {
        for value in ["1.5", "2027-01-31", "12345678901234567890", "[1.5]"] {
            let file = File::parse(&format!("jwt_secret = {value}\n"));
            let [(line, what)] = file.problems.as_slice() else {
                panic!("{:?}", file.problems);
            };
            assert_eq!(*line, Some(1));
            assert!(what.starts_with("jwt_secret is neither"), "{what}");
            assert!(file.entries.is_empty() && !what.contains(value), "{what}");
        }
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
