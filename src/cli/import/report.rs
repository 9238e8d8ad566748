//! What became of an import: line by line as it goes, and as a whole.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, IsTerminal},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::record::{Cell, Place, start};
use crate::{
    accounts::{ImportOutcome, LocalChange},
    text::printable,
};

/// Problems that are kept for the JSON report.
const KEPT: usize = 1000;

/// The report, and the progress bar above it.
#[derive(Serialize)]
pub(super) struct Report {
    dry_run: bool,
    /// Accounts that are new.
    pub(super) added: u64,
    /// Accounts that were here, and differed.
    pub(super) updated: u64,
    /// Accounts that were here, and were left as they were.
    unchanged: u64,
    /// Accounts that did not come in.
    skipped: u64,
    /// Accounts that came in, with something to know.
    warned: u64,
    /// Accounts with a field that was changed here, and that the import did not overwrite.
    preserved: u64,
    /// Accounts whose tokens were revoked.
    pub(super) revoked: u64,
    /// Times without a time zone that were read as times of UTC.
    pub(super) naive_times: u64,
    /// How many came in with a hash of each scheme.
    schemes: BTreeMap<&'static str, u64>,
    problems: Vec<Problem>,
    problems_left_out: u64,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    bar: ProgressBar,
}

#[derive(Serialize)]
struct Problem {
    place: String,
    id: String,
    skipped: bool,
    reason: String,
}

impl Report {
    /// A report on something of this size, if that is known.
    pub(super) fn new(dry_run: bool, json: bool, size: Option<u64>) -> Self {
        Self {
            dry_run,
            added: 0,
            updated: 0,
            unchanged: 0,
            skipped: 0,
            warned: 0,
            preserved: 0,
            revoked: 0,
            naive_times: 0,
            schemes: BTreeMap::new(),
            problems: Vec::new(),
            problems_left_out: 0,
            json,
            bar: bar(json, size),
        }
    }

    pub(super) fn came(&mut self, fate: &ImportOutcome, scheme: &'static str) {
        match fate {
            ImportOutcome::Added => self.added += 1,
            ImportOutcome::Updated(effects) => {
                self.updated += 1;
                self.revoked += u64::from(effects.revoked);
            }
            ImportOutcome::Unchanged(_) | ImportOutcome::Rejected(_) => {
                self.unchanged += 1;
                return;
            }
        }
        *self.schemes.entry(scheme).or_default() += 1;
    }

    pub(super) fn skipped(&mut self, place: Place, id: &str, reason: &str) {
        self.skipped += 1;
        self.problem("skipped", place, id, reason);
    }

    pub(super) fn warned(&mut self, place: Place, id: &str, reason: &str) {
        self.warned += 1;
        self.problem("warning", place, id, reason);
    }

    pub(super) fn preserved(&mut self, place: Place, id: &str, changes: &[LocalChange]) {
        self.preserved += u64::from(!changes.is_empty());
        for change in changes {
            let reason = format!("local change preserved: {change}");
            self.problem("note", place, id, &reason);
        }
    }

    pub(super) fn progress(&self, position: u64) {
        self.bar.set_position(position);
        self.bar.set_message(self.accounts().to_string());
    }

    /// Clears the progress bar, and prints the warning about the whole source.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
        if self.naive_times > 0 && !self.json {
            eprintln!(
                "warning: {} times have no time zone, and are read as UTC. If the Django service has USE_TZ=False, import with \
                 --time-zone and its TIME_ZONE, such as Europe/Berlin; if they are times of UTC, with --time-zone UTC",
                self.naive_times
            );
        }
    }

    /// Whether no account came in, nor was here.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts() == self.skipped
    }

    fn accounts(&self) -> u64 {
        self.added + self.updated + self.unchanged + self.skipped
    }

    fn problem(&mut self, what: &str, place: Place, id: &str, reason: &str) {
        if !self.json {
            self.bar
                .suspend(|| eprintln!("{what}: {place}, id {id}: {}", printable(reason)));
        } else if self.problems.len() < KEPT {
            self.problems.push(Problem {
                place: place.to_string(),
                id: id.to_owned(),
                skipped: what == "skipped",
                reason: reason.to_owned(),
            });
        } else {
            self.problems_left_out += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            let json = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
            return f.write_str(&json);
        }
        if self.dry_run {
            f.write_str("a dry run, nothing was changed: ")?;
        }
        write!(
            f,
            "{} added, {} updated, {} unchanged, {} skipped, {} with a warning",
            self.added, self.updated, self.unchanged, self.skipped, self.warned
        )?;
        if self.preserved > 0 {
            write!(f, ", {} with a local change preserved", self.preserved)?;
        }
        if self.revoked > 0 {
            write!(f, ", {} with tokens revoked", self.revoked)?;
        }
        let schemes = self.schemes.iter();
        let schemes: Vec<_> = schemes
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !schemes.is_empty() {
            write!(f, " ({})", schemes.join(", "))?;
        }
        Ok(())
    }
}

/// On a terminal, how far it is; elsewhere, nothing.
fn bar(json: bool, size: Option<u64>) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:40} {percent} %, {msg} accounts",
        ),
        None => (ProgressBar::no_length(), "{spinner} {msg} accounts"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// An id as it stands in the source.
pub(super) fn id(cell: &Cell) -> String {
    match cell {
        Cell::Number(text) | Cell::Text(text) => start(text),
        _ => "?".to_owned(),
    }
}
