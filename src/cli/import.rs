//! `signet user import`: imports the accounts of a Django service in one transaction.

use std::path::PathBuf;

use clap::ArgGroup;
use jiff::tz::TimeZone;
use time::OffsetDateTime;

use super::{
    database::Destination,
    error::CliError,
    output::{OutputArgs, print_json},
    signal,
};
use crate::{
    accounts::{self, AccountStore, DatabaseError, ForcedFields, ImportRecord},
    auth::{Audit, Clock},
};

mod deferred;
mod dump;
mod instant;
mod parse;
mod record;
mod report;
mod source;
mod stop;
mod table;

use deferred::Deferred;
use parse::{Origin, Rules};
use report::Report;
use source::Source;

#[derive(clap::Args)]
#[command(group = ArgGroup::new("source").args(["file", "from_database"]).required(true))]
pub(super) struct Import {
    /// Output of `manage.py dumpdata`, or a CSV file of the user table; `-` for standard input
    file: Option<PathBuf>,
    /// Format of the file. The default is `csv` for names that end in `.csv`, otherwise `dumpdata`
    #[arg(long, value_enum, conflicts_with = "from_database")]
    format: Option<Format>,
    /// User model in the dump, such as `app.model`, if several models look like users
    #[arg(long, conflicts_with = "from_database")]
    model: Option<String>,
    /// Read the user table of a Django service: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. A password is
    /// better in PGPASSWORD than here, where other users of the machine can see it
    #[arg(long, value_name = "URL")]
    from_database: Option<String>,
    /// Table of the user model
    #[arg(long, requires = "from_database", default_value = "auth_user")]
    table: String,
    /// Report what the import would change, without changes
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Update existing accounts too. An email or `is_active` that was changed here since the last import is preserved. A password
    /// that changed in the source replaces the password here. A new email or password revokes the account's tokens
    #[arg(long)]
    update: bool,
    /// Fields that an update overwrites even if they were changed here since the last import
    #[arg(
        long,
        value_enum,
        value_name = "FIELDS",
        value_delimiter = ',',
        requires = "update"
    )]
    force_fields: Vec<Field>,
    /// Import accounts whose password hash is not supported, without a password
    #[arg(long)]
    accept_unusable: bool,
    /// Time zone of times without a zone: `TIME_ZONE` of a Django service with `USE_TZ=False`, such as Europe/Berlin. The
    /// default is UTC
    #[arg(long, value_name = "NAME", value_parser = instant::time_zone)]
    time_zone: Option<TimeZone>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// JSON of `manage.py dumpdata`
    Dumpdata,
    /// CSV with a header
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Field {
    #[value(name = "email")]
    Email,
    #[value(name = "is_active")]
    IsActive,
}

impl Import {
    /// The fields that are always overwritten. `None` if existing accounts are not updated.
    fn forced_fields(&self) -> Option<ForcedFields> {
        self.update.then(|| ForcedFields {
            email: self.force_fields.contains(&Field::Email),
            is_active: self.force_fields.contains(&Field::IsActive),
        })
    }

    fn source(&self) -> Source {
        if let Some(url) = self.from_database.clone() {
            let table = self.table.clone();
            return Source::Table { url, table };
        }
        let path = self.file.clone().unwrap_or_default();
        let is_csv = match self.format {
            Some(format) => format == Format::Csv,
            None => path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv")),
        };
        if is_csv {
            Source::Csv(path)
        } else {
            let model = self.model.clone();
            Source::Dump { path, model }
        }
    }

    /// Runs the import. Publishes a new database after the commit.
    pub(super) async fn run(
        self,
        accounts: &AccountStore,
        destination: &mut Destination,
        audit: Audit,
    ) -> Result<(), CliError> {
        let clock = Clock::system();
        let now = || clock.now();
        let stop = signal::stop()?;
        let (import, report) = tokio::select! {
            biased;
            () = stop => return Err(CliError::interrupted()),
            written = self.write(accounts, destination, &now) => written?,
        };
        let Some(import) = import.filter(|_| !report.is_empty()) else {
            if self.output.json {
                print_json(&report)?;
            }
            return Err("no account could be imported; nothing was changed".into());
        };
        if self.dry_run {
            import.roll_back().await.map_err(failed)?;
        } else {
            import.commit().await.map_err(failed)?;
            destination.publish(accounts).await?;
            if report.added + report.updated > 0 {
                audit.imported(report.added, report.updated, report.revoked);
            }
        }
        self.output.confirm(&report, &report)
    }

    /// Writes all records in a transaction, and returns the open transaction. Without a valid record there is no transaction.
    async fn write<'a>(
        &self,
        accounts: &AccountStore,
        destination: &mut Destination,
        now: &'a (dyn Fn() -> OffsetDateTime + Sync),
    ) -> Result<(Option<accounts::Import<'a>>, Report), CliError> {
        let mut report = Report::new(self.dry_run, self.output.json);
        let mut batches = self.source().read(report.bar.clone());
        // Begins with the first valid record, so that other writers wait as little as possible.
        let mut import = None;
        let mut deferred = Deferred::default();
        let rules = Rules {
            accept_unusable: self.accept_unusable,
            time_zone: self.time_zone.clone(),
        };
        while let Some(batch) = batches.recv().await {
            let (records, origins) = parse(batch?, &rules, &mut report);
            if records.is_empty() {
                continue;
            }
            let import = match &mut import {
                Some(import) => import,
                none => {
                    destination.prepare().await?;
                    let begun = accounts.import(self.forced_fields(), now).await;
                    none.insert(begun.map_err(failed)?)
                }
            };
            let imported = import.import(records).await.map_err(failed)?;
            for ((record, outcome), origin) in imported.into_iter().zip(origins) {
                let imported = if self.update {
                    deferred.add(record, origin, &outcome)
                } else {
                    Some((record, origin))
                };
                if let Some((record, origin)) = imported {
                    report.imported(&record, &origin, &outcome, self.update);
                }
            }
            report.show_progress();
        }
        if let Some(import) = &mut import {
            let imported = deferred.import(import, &mut report).await;
            imported.map_err(failed)?;
        }
        report.finish();
        Ok((import, report))
    }
}

/// Validates a batch. Reports the records that cannot be imported.
fn parse(
    batch: Vec<record::Record>,
    rules: &Rules,
    report: &mut Report,
) -> (Vec<ImportRecord>, Vec<Origin>) {
    let mut parsed = (Vec::new(), Vec::new());
    for record in batch {
        let (position, id) = (record.position, report::id(record.fields.get("id")));
        match rules.parse(record) {
            Ok((record, origin)) => {
                report.naive_times += origin.naive_times;
                parsed.0.push(record);
                parsed.1.push(origin);
            }
            Err(why) => report.skipped(position, &id, &why),
        }
    }
    parsed
}

fn failed(error: DatabaseError) -> CliError {
    CliError::database(error).state("nothing was changed")
}
