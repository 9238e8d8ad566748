//! The output of commands: tables, JSON, confirmations and progress bars.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use anstream::AutoStream;
use clap::builder::styling::{Style, Styles};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tabwriter::TabWriter;

use super::error::CliError;
use crate::text::{printable, printable_json, printable_lines};

/// Whether `--quiet` omits confirmations.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Omits confirmations from now on.
pub(super) fn set_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// The format of the output of a command.
#[derive(Clone, Copy, clap::Args)]
pub(super) struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl OutputArgs {
    /// Prints the JSON, or else confirms a change with the text.
    pub(super) fn confirm(
        self,
        text: impl fmt::Display,
        json: impl Serialize,
    ) -> Result<(), CliError> {
        if self.json {
            print_json(json).map_err(succeeded)
        } else {
            confirm(text)
        }
    }
}

/// Whether `--quiet` is given.
pub(super) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Prints the result of a change, unless `--quiet` is given.
pub(super) fn confirm(text: impl fmt::Display) -> Result<(), CliError> {
    if is_quiet() {
        return Ok(());
    }
    print(text).map_err(succeeded)
}

/// An error after the work of the command.
pub(super) fn succeeded(error: CliError) -> CliError {
    error.state("the command itself succeeded")
}

/// Prints a note for the person at the terminal to standard error, unless `--quiet` is given.
pub(super) fn note(text: impl fmt::Display) {
    if !is_quiet() {
        print_error(format_args!("{}\n", printable_lines(&text.to_string())));
    }
}

/// Prints a warning to standard error, unless `--quiet` is given.
pub(super) fn warn(text: impl fmt::Display) {
    if !is_quiet() {
        let style = Styles::styled();
        let style = style.get_invalid();
        let text = printable_lines(&text.to_string());
        print_error(format_args!("{style}warning:{style:#} {text}\n"));
    }
}

/// Prints to standard error. If standard error is closed or full, nobody reads the text, and the command continues.
pub(super) fn print_error(text: impl fmt::Display) {
    let mut stderr = AutoStream::auto(io::stderr().lock());
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// Prints one or several lines. Control characters are replaced.
pub(super) fn print(lines: impl fmt::Display) -> Result<(), CliError> {
    print_unchanged(printable_lines(&lines.to_string()))
}

/// Prints a value as JSON. Control characters are escaped.
pub(super) fn print_json(value: impl Serialize) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(&value)
        .map_err(|error| format!("cannot write JSON: {error}"))?;
    print_unchanged(printable_json(&json))
}

/// Prints text that is part of this program.
pub(super) fn print_unchanged(lines: impl fmt::Display) -> Result<(), CliError> {
    write(&format!("{lines}\n")).map(drop)
}

/// Writes to standard output. Returns false if the reader closed the pipe, as `head` does; this is not an error.
pub(super) fn write(text: &str) -> Result<bool, CliError> {
    let mut stdout = AutoStream::auto(io::stdout().lock());
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot print: {error}").into()),
    }
}

/// A table: aligned columns with a header on a terminal, otherwise rows with tabs between the columns.
pub(super) struct Table<const COLUMNS: usize> {
    header: Option<[&'static str; COLUMNS]>,
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Creates a table. The further pages of a long table have no header.
    pub(super) fn new(header: impl Into<Option<[&'static str; COLUMNS]>>) -> Self {
        Self {
            header: header.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Control characters are replaced.
    pub(super) fn row(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row.map(|cell| printable(&cell)));
    }

    /// Prints the table. Returns false if the reader closed the pipe.
    pub(super) fn print(self) -> Result<bool, CliError> {
        let text = if io::stdout().is_terminal() {
            self.aligned()
        } else {
            self.tabbed()
        };
        write(&text)
    }

    fn tabbed(&self) -> String {
        let mut lines = String::new();
        for row in &self.rows {
            lines.push_str(&row.join("\t"));
            lines.push('\n');
        }
        lines
    }

    fn aligned(&self) -> String {
        let bold = Style::new().bold();
        let mut table = TabWriter::new(Vec::new()).padding(2).ansi(true);
        // Writing to a vector does not fail.
        if let Some(header) = self.header {
            let header = header.map(|name| format!("{bold}{name}{bold:#}"));
            let _ = writeln!(table, "{}", header.join("\t"));
        }
        for row in &self.rows {
            let _ = writeln!(table, "{}", row.join("\t"));
        }
        let bytes = table.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// Returns a progress bar on standard error. Without a size, the bar is a spinner with the message. The bar is hidden if standard error is
/// no terminal.
pub(super) fn progress_bar(json: bool, template: &str) -> ProgressBar {
    if json || is_quiet() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    set_template(&bar, template);
    bar
}

pub(super) fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Formats a number with a noun, such as `1 account` or `2 accounts`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}
