//! Rejects stray quotes in CSV. The `csv` crate accepts such quotes, and then reads whole rows as part of one field.

use std::io::{self, Read};

use crate::problem::Problem;

/// The longest row, in bytes. A longer row has a quote that is never closed.
pub(super) const LONGEST_ROW: u64 = 16 * 1024 * 1024;

/// Reads `input`, and fails at the first quote that RFC 4180 (section 2) does not allow.
pub(super) struct Strict<R> {
    input: R,
    delimiter: u8,
    state: State,
    /// The current line, counted from 1.
    line: u64,
    /// The line of the last quote that was opened.
    opened: u64,
    /// The bytes of the current row so far.
    row: u64,
}

const NOT_CLOSED: &str = "add the missing quote: whole rows may be part of the field";
const NOT_QUOTED: &str = "enclose the field in quotes, and double each quote in the field";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote in a quoted field: this quote closes the field, or a second quote follows.
    Quote,
}

impl<R> Strict<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            delimiter,
            state: State::FieldStart,
            line: 1,
            opened: 0,
            row: 0,
        }
    }

    fn check(&mut self, byte: u8) -> Result<(), Problem> {
        self.row += 1;
        if self.row > LONGEST_ROW {
            return Err(Problem::new("a row is longer than 16 MiB").hint(NOT_CLOSED));
        }
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::FieldStart, b'"') => {
                self.opened = self.line;
                State::Quoted
            }
            (State::Quoted, _) | (State::Quote, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => {
                self.row = 0;
                State::FieldStart
            }
            (_, byte) if byte == self.delimiter => State::FieldStart,
            (State::FieldStart | State::Unquoted, byte) if byte != b'"' => State::Unquoted,
            (State::Quote, _) => {
                let (line, opened) = (self.line, self.opened);
                return Err(Problem::new(format!(
                    "line {line}: text after the closing quote of a field, whose opening quote is in line {opened}"
                ))
                .hint(NOT_QUOTED));
            }
            _ => {
                let line = self.line;
                return Err(Problem::new(format!(
                    "line {line}: a quote in a field without an opening quote"
                ))
                .hint(NOT_QUOTED));
            }
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }
}

impl<R: Read> Read for Strict<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for byte in &buffer[..read] {
            self.check(*byte).map_err(io::Error::other)?;
        }
        if read == 0 && !buffer.is_empty() && self.state == State::Quoted {
            let problem = Problem::new(format!(
                "the closing quote is missing: the opening quote is in line {}",
                self.opened
            ));
            return Err(io::Error::other(problem.hint(NOT_CLOSED)));
        }
        Ok(read)
    }
}
