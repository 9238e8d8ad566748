//! Reads accounts from CSV with a header: what `psql` and `sqlite3` write of the user table.

use std::io::{self, BufRead, Cursor, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{
    dump::Stop,
    record::{Cell, FIELDS, LONGEST, Place, Record},
};

mod quoting;

use quoting::{LONGEST_ROW, Strict};

/// The delimiters that a header may have. The first is the default.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// The names of the column of the ID.
const ID: [&str; 2] = ["id", "pk"];
/// How databases write NULL where an empty field is an empty text.
const NULL: &str = "\\N";

/// Hands each row to `found`.
pub(super) fn read(
    mut input: impl BufRead,
    mut found: impl FnMut(Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let start = first_line(&mut input).map_err(|error| Stop::Bad(error.to_string()))?;
    let delimiter = delimiter(&start);
    let mut csv = ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(Strict::new(Cursor::new(start).chain(input), delimiter));
    let header = csv.headers().map_err(bad)?;
    let id = column(header, &ID)?;
    let mut columns = [None; FIELDS.len()];
    for (index, name) in columns.iter_mut().zip(FIELDS) {
        *index = column(header, &[name])?;
    }
    let [email, username, password, ..] = columns;
    let missing = match (id, email.or(username), password) {
        (None, ..) => "id",
        (_, None, _) => "email",
        (.., None) => "password",
        _ => "",
    };
    if !missing.is_empty() {
        return Err(Stop::Bad(format!(
            "line 1: there is no column {missing:?}: the first line must name the columns id, email and password, \
             and may name {}, with commas, semicolons or tabs between",
            FIELDS[3..].join(", ")
        )));
    }
    let mut row = StringRecord::new();
    let mut users: u64 = 0;
    while csv.read_record(&mut row).map_err(bad)? {
        users += 1;
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |name: &str, column: Option<usize>| {
            column
                .and_then(|column| row.get(column))
                .map_or(Ok(Cell::Missing), |text| cell(line, name, text))
        };
        let mut fields = <[Cell; FIELDS.len()]>::default();
        for ((field, column), name) in fields.iter_mut().zip(columns).zip(FIELDS) {
            *field = cell(name, column)?;
        }
        found(Record {
            place: Place::Line(line),
            id: cell("id", id)?,
            fields,
        })?;
    }
    if users == 0 {
        return Err(Stop::Bad(
            "there is no user in it: no line follows the first".to_owned(),
        ));
    }
    Ok(())
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
        [first, second, ..] => Err(Stop::Bad(format!(
            "line 1: there are two columns for the {}: column {} ({:?}) and column {} ({:?}). Rename or remove the column that \
             is not of the user table",
            names[0],
            first + 1,
            header[first].trim(),
            second + 1,
            header[second].trim(),
        ))),
    }
}

/// Reads a field. An empty field is NULL.
fn cell(line: u64, name: &str, text: &str) -> Result<Cell, Stop> {
    if text.trim().contains(['\n', '\r']) {
        return Err(Stop::Bad(format!(
            "line {line}: there is a line break in the {name}: is a quote closed too late?"
        )));
    }
    Ok(match text.len() {
        0 => Cell::Null,
        _ if text == NULL => Cell::Null,
        1..=LONGEST => Cell::Text(text.to_owned()),
        _ => Cell::TooLong,
    })
}

fn bad(error: csv::Error) -> Stop {
    let place = error.position().map_or_else(String::new, |position| {
        format!("line {}: ", position.line())
    });
    Stop::Bad(match error.into_kind() {
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::Utf8 { .. } => format!("{place}this is not UTF-8: save it as UTF-8"),
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{place}{len} columns, and the first line names {expected_len}"),
        other => format!("{place}{other:?}"),
    })
}
