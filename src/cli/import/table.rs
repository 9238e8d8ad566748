//! Reads accounts from CSV with a header: what `psql` and `sqlite3` write of the user table.

use std::{
    cell::Cell as Counter,
    io::{self, Read},
    rc::Rc,
};

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{
    dump::Stop,
    record::{Cell, FIELDS, LONGEST, Place, Record},
};

/// The most of one row, in bytes: longer ones come of a quote that is never closed.
const LONGEST_ROW: u64 = 16 * 1024 * 1024;

/// Hands each row to `found`.
pub(super) fn read(
    input: impl Read,
    mut found: impl FnMut(Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let left = Rc::new(Counter::new(LONGEST_ROW));
    let quoted = Rc::new(Counter::new(false));
    let mut csv = ReaderBuilder::new().from_reader(Bounded {
        input,
        left: Rc::clone(&left),
        quoted: Rc::clone(&quoted),
    });
    let header = csv.headers().map_err(bad)?;
    let column = |name: &str| {
        header
            .iter()
            .position(|column| column.trim().eq_ignore_ascii_case(name))
    };
    let id = column("id").or_else(|| column("pk"));
    let columns = FIELDS.map(column);
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
             and may name {}",
            FIELDS[3..].join(", ")
        )));
    }
    let mut row = StringRecord::new();
    let mut users: u64 = 0;
    while csv.read_record(&mut row).map_err(bad)? {
        left.set(LONGEST_ROW);
        users += 1;
        let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).map(cell);
        found(Record {
            place: Place::Line(row.position().map_or(0, csv::Position::line)),
            id: cell(id).unwrap_or_default(),
            fields: columns.map(|column| cell(column).unwrap_or_default()),
        })?;
    }
    if quoted.get() {
        return Err(Stop::Bad(
            "it ends within a quote that is never closed, and whole rows may be in it".to_owned(),
        ));
    }
    if users == 0 {
        return Err(Stop::Bad(
            "there is no user in it: no line follows the first".to_owned(),
        ));
    }
    Ok(())
}

/// Nothing and NULL are the same in CSV.
fn cell(text: &str) -> Cell {
    match text.len() {
        0 => Cell::Null,
        1..=LONGEST => Cell::Text(text.to_owned()),
        _ => Cell::TooLong,
    }
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

/// Ends with an error where one row takes more than its share.
struct Bounded<R> {
    input: R,
    left: Rc<Counter<u64>>,
    /// Whether a quote is open; within one, another is written twice.
    quoted: Rc<Counter<bool>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for byte in &buffer[..read] {
            self.quoted.set(self.quoted.get() ^ (*byte == b'"'));
        }
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => {
                return Err(io::Error::other(
                    "a row is longer than 16 MiB: is there a quote that is never closed?",
                ));
            }
        }
        Ok(read)
    }
}
