//! Reads accounts from CSV with a header, as `psql` and `sqlite3` write the user table.

use std::io::{self, BufRead, Cursor, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{
    record::{FIELDS, FieldValue, Record, SourcePosition},
    stop::Stop,
};
use crate::problem::Problem;

mod quoting;

use quoting::{LONGEST_ROW, Strict};

/// The delimiters that a header may have. The first is the default.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// The names of the column of the ID.
const ID: [&str; 2] = ["id", "pk"];
/// NULL in the output of databases that write an empty text as an empty field.
const NULL: &str = "\\N";

/// Calls `found` with each row.
pub(super) fn read(
    mut input: impl BufRead,
    mut found: impl FnMut(Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let start = first_line(&mut input).map_err(|error| Stop::invalid(error.to_string()))?;
    let delimiter = delimiter(&start);
    let mut csv = ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(Strict::new(Cursor::new(start).chain(input), delimiter));
    let columns = columns(csv.headers().map_err(invalid)?)?;
    let mut row = StringRecord::new();
    let mut is_empty = true;
    while csv.read_record(&mut row).map_err(invalid)? {
        is_empty = false;
        let line = row.position().map_or(0, csv::Position::line);
        let mut record = Record::new(SourcePosition::Line(line));
        for (name, column) in &columns {
            if let Some(text) = row.get(*column) {
                record.fields.insert(*name, value(line, name, text)?);
            }
        }
        found(record)?;
    }
    if is_empty {
        return Err(Stop::invalid(
            "the file contains no user: only the header".to_owned(),
        ));
    }
    Ok(())
}

/// Returns the index of each column that the import uses.
fn columns(header: &StringRecord) -> Result<Vec<(&'static str, usize)>, Stop> {
    let mut columns = Vec::new();
    columns.extend(column(header, &ID)?.map(|index| ("id", index)));
    for name in FIELDS {
        columns.extend(column(header, &[name])?.map(|index| (name, index)));
    }
    let has = |name| columns.iter().any(|(column, _)| *column == name);
    let missing = if !has("id") {
        "id"
    } else if !has("email") && !has("username") {
        "email"
    } else if !has("password") {
        "password"
    } else {
        return Ok(columns);
    };
    let hint = format!(
        "the first line must name the columns id, email and password, and may name {}; separate the columns by commas, semicolons \
         or tabs",
        FIELDS[3..].join(", ")
    );
    let message = format!("line 1: the column {missing:?} is missing");
    Err(Stop::with_hint(message, &hint))
}

/// Reads the first line that is not empty, without a byte order mark. Line breaks in quotes are part of the line.
fn first_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let mut text = Vec::new();
    let (mut is_empty, mut is_quoted) = (true, false);
    loop {
        let start = text.len();
        let read = input
            .by_ref()
            .take(LONGEST_ROW)
            .read_until(b'\n', &mut text)?;
        if start == 0 && text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        for byte in &text[start..] {
            is_empty &= byte.is_ascii_whitespace();
            is_quoted ^= *byte == b'"';
        }
        let is_whole = !is_empty && !is_quoted;
        if read == 0 || is_whole || text.len() as u64 >= LONGEST_ROW {
            return Ok(text);
        }
    }
}

/// Returns the delimiter with which the header names most of the wanted columns.
fn delimiter(header: &[u8]) -> u8 {
    let named = |delimiter: u8| {
        let mut csv = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .from_reader(header);
        let names = csv.records().next().and_then(Result::ok);
        let names = names.unwrap_or_default();
        let wanted = ID.iter().chain(&FIELDS);
        wanted
            .filter(|name| !positions(&names, &[name]).is_empty())
            .count()
    };
    let mut best = DELIMITERS[0];
    for other in DELIMITERS {
        if named(other) > named(best) {
            best = other;
        }
    }
    best
}

fn positions(header: &StringRecord, names: &[&str]) -> Vec<usize> {
    let is_wanted = |column: &str| {
        names
            .iter()
            .any(|name| column.trim().eq_ignore_ascii_case(name))
    };
    let columns = header.iter().enumerate();
    columns
        .filter(|(_, column)| is_wanted(column))
        .map(|(index, _)| index)
        .collect()
}

/// Returns the column with one of these names. Two such columns are an error: in a join, the first may be of another table.
fn column(header: &StringRecord, names: &[&str]) -> Result<Option<usize>, Stop> {
    match positions(header, names)[..] {
        [] => Ok(None),
        [column] => Ok(Some(column)),
        [first, second, ..] => Err(Stop::with_hint(
            format!(
                "line 1: two columns contain the {}: column {} ({:?}) and column {} ({:?})",
                names[0],
                first + 1,
                header[first].trim(),
                second + 1,
                header[second].trim(),
            ),
            "rename or remove the column that does not belong to the user table",
        )),
    }
}

/// Parses a field. An empty field is NULL.
fn value(line: u64, name: &str, text: &str) -> Result<FieldValue, Stop> {
    if text.trim().contains(['\n', '\r']) {
        return Err(Stop::with_hint(
            format!("line {line}: the {name} contains a line break"),
            "check the quotes: a closing quote may be missing",
        ));
    }
    Ok(match text {
        "" | NULL => FieldValue::Null,
        text => FieldValue::text(text.to_owned()),
    })
}

fn invalid(error: csv::Error) -> Stop {
    let position = error.position().map_or_else(String::new, |position| {
        format!("line {}: ", position.line())
    });
    Stop::invalid(match error.into_kind() {
        ErrorKind::Io(error) => {
            return match error.downcast::<Problem>() {
                Ok(problem) => Stop::Invalid(problem.into()),
                Err(error) => Stop::invalid(error.to_string()),
            };
        }
        ErrorKind::Utf8 { .. } => {
            let message = format!("{position}the text is not UTF-8");
            return Stop::with_hint(message, "save the file as UTF-8");
        }
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{position}{len} columns, but the first line has {expected_len}"),
        _ => format!("{position}invalid CSV"),
    })
}
