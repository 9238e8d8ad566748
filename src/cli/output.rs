//! Standard output.

use std::{
    fmt,
    io::{self, Write},
};

use super::error::CliError;
use crate::text::{printable_json, printable_lines};

/// Prints one or several lines. Control characters are replaced.
pub(super) fn print(lines: impl fmt::Display) -> Result<(), CliError> {
    print_unchanged(printable_lines(&lines.to_string()))
}

/// Prints JSON. Control characters are escaped.
pub(super) fn print_json(json: impl fmt::Display) -> Result<(), CliError> {
    print_unchanged(printable_json(&json.to_string()))
}

/// Prints text that is part of this program.
pub(super) fn print_unchanged(lines: impl fmt::Display) -> Result<(), CliError> {
    write(&format!("{lines}\n")).map(drop)
}

/// Writes to standard output. Returns false if the reader closed the pipe, as `head` does; this is not an error.
pub(super) fn write(text: &str) -> Result<bool, CliError> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("done, but cannot print: {error}").into()),
    }
}
