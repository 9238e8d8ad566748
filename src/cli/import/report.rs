//! Reports the problems of an import, and a summary.

use std::{collections::BTreeMap, fmt};

use indicatif::ProgressBar;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::{
    parse::Origin,
    record::{FieldValue, SourcePosition, start},
};
use crate::{
    accounts::{ImportOutcome, ImportRecord, LocalChange},
    cli::output::{counted, is_quiet, print_error, progress_bar, warn},
    text::printable,
};

/// The number of problems in the JSON report.
const MAX_PROBLEMS: usize = 1000;

/// The report and the progress bar.
#[derive(Serialize)]
pub(super) struct Report {
    dry_run: bool,
    /// New accounts.
    pub(super) added: u64,
    /// Existing accounts that were updated.
    pub(super) updated: u64,
    /// Existing accounts that did not change.
    unchanged: u64,
    /// Records that were not imported.
    skipped: u64,
    /// Imported accounts with a warning.
    warned: u64,
    /// Accounts with a field that was changed here, and that the import did not overwrite.
    preserved: u64,
    /// Accounts whose tokens were revoked.
    pub(super) revoked: u64,
    /// Times without a time zone that were read as times of UTC.
    pub(super) naive_times: u64,
    /// The number of imported accounts with a hash of each scheme.
    schemes: BTreeMap<&'static str, u64>,
    problems: Vec<Problem>,
    problems_left_out: u64,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    pub(super) bar: ProgressBar,
}

#[derive(Serialize)]
struct Problem {
    place: String,
    id: String,
    skipped: bool,
    reason: String,
}

impl Report {
    /// Returns an empty report.
    pub(super) fn new(dry_run: bool, json: bool) -> Self {
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
            bar: progress_bar(json, "{spinner} {msg} accounts"),
        }
    }

    /// Reports the outcome of a record.
    pub(super) fn imported(
        &mut self,
        record: &ImportRecord,
        origin: &Origin,
        outcome: &ImportOutcome,
        is_update: bool,
    ) {
        let id = record.id.to_string();
        let position = origin.position;
        match outcome {
            ImportOutcome::Rejected(conflict) => {
                self.skipped(position, &id, &conflict.to_string());
                return;
            }
            ImportOutcome::Added => self.added += 1,
            ImportOutcome::Updated(effects) => {
                self.updated += 1;
                self.revoked += u64::from(effects.revoked);
                self.preserved(position, &id, &effects.preserved);
            }
            ImportOutcome::Unchanged(effects) => {
                self.unchanged += 1;
                self.preserved(position, &id, &effects.preserved);
            }
        }
        let is_written = !matches!(outcome, ImportOutcome::Unchanged(_));
        if is_written {
            *self.schemes.entry(origin.scheme).or_default() += 1;
            for warning in &origin.warnings {
                self.warned(position, &id, warning);
            }
        }
        // An update that leaves the account unchanged omits the login, too.
        if let (Some(dropped), None) = (origin.last_login, record.last_login)
            && (is_update || is_written)
        {
            let at = dropped.format(&Rfc3339).unwrap_or_default();
            let why = format!("last_login is {at}, which is in the future, and was not imported");
            self.warned(position, &id, &why);
        }
    }

    /// Reports a record that was not imported.
    pub(super) fn skipped(&mut self, position: SourcePosition, id: &str, reason: &str) {
        self.skipped += 1;
        self.problem("skipped", position, id, reason);
    }

    fn warned(&mut self, position: SourcePosition, id: &str, reason: &str) {
        self.warned += 1;
        self.problem("warning", position, id, reason);
    }

    fn preserved(&mut self, position: SourcePosition, id: &str, changes: &[LocalChange]) {
        self.preserved += u64::from(!changes.is_empty());
        for change in changes {
            let reason = format!("local change preserved: {change}");
            self.problem("note", position, id, &reason);
        }
    }

    pub(super) fn show_progress(&self) {
        self.bar.set_message(self.accounts().to_string());
    }

    /// Clears the progress bar, and prints the warning about times without a time zone.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
        if self.naive_times > 0 && !self.json {
            warn(format!(
                "{} without a time zone, read as UTC; if the Django service has USE_TZ=False, import with --time-zone and its \
                 TIME_ZONE, such as Europe/Berlin; if the times are UTC, import with --time-zone UTC",
                counted(self.naive_times, "time")
            ));
        }
    }

    /// Returns whether no record was imported or exists already.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts() == self.skipped
    }

    fn accounts(&self) -> u64 {
        self.added + self.updated + self.unchanged + self.skipped
    }

    fn problem(&mut self, kind: &str, position: SourcePosition, id: &str, reason: &str) {
        let is_skipped = kind == "skipped";
        if !self.json {
            if is_skipped || !is_quiet() {
                let line = format!("{kind}: {position}, ID {id}: {}\n", printable(reason));
                self.bar.suspend(|| print_error(line));
            }
        } else if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                place: position.to_string(),
                id: id.to_owned(),
                skipped: is_skipped,
                reason: reason.to_owned(),
            });
        } else {
            self.problems_left_out += 1;
        }
    }
}

impl Drop for Report {
    /// Clears the progress bar of a failed import, whose source may still use the bar.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            f.write_str("dry run, nothing was changed: ")?;
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

/// Returns the ID as written in the source.
pub(super) fn id(value: Option<&FieldValue>) -> String {
    match value {
        Some(FieldValue::Number(text) | FieldValue::Text(text)) => start(text),
        _ => "?".to_owned(),
    }
}
