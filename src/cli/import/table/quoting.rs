//! Rejects stray quotes in CSV. The `csv` crate accepts such quotes, and then reads whole rows as part of one field.

use std::io::{self, Read};

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

    fn check(&mut self, byte: u8) -> Result<(), String> {
        self.row += 1;
        if self.row > LONGEST_ROW {
            return Err(
                "a row is longer than 16 MiB: is there a quote that is never closed?".to_owned(),
            );
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
                return Err(format!(
                    "line {}: there is text after the quote that closes a field, which began in line {}. A quote within a field \
                     must be doubled, and the field be in quotes",
                    self.line, self.opened
                ));
            }
            _ => {
                return Err(format!(
                    "line {}: there is a quote in a field that does not begin with one. Put such a field in quotes, and double \
                     the quotes within",
                    self.line
                ));
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
            return Err(io::Error::other(format!(
                "the file stops within a quote that is never closed, opened in line {}: whole rows may be in it",
                self.opened
            )));
        }
        Ok(read)
    }
}
