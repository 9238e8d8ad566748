//! `signet user import`: accounts of a Django service, in one transaction.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::tz::TimeZone;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    database::Destination,
    error::CliError,
    output::{print, print_json},
    signal,
};
use crate::{
    accounts::{
        self, AccountStore, DatabaseError, ForcedFields, ImportConflict, ImportOutcome,
        ImportRecord,
    },
    auth::{Audit, Clock},
};

mod dump;
mod record;
mod report;
mod source;
mod table;

use record::{Candidate, Place, Rules};
use report::Report;

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Import {
    /// What `manage.py dumpdata` wrote, or a CSV file of the user table; `-` is standard input
    #[arg(
        required_unless_present = "from_database",
        conflicts_with = "from_database"
    )]
    file: Option<PathBuf>,
    /// How the file is written; by default a name in `.csv` is CSV, and everything else a dump
    #[arg(long, value_enum, conflicts_with = "from_database")]
    format: Option<Format>,
    /// The model of the users in a dump, if more than one looks like it: `app.model`
    #[arg(long, conflicts_with = "from_database")]
    model: Option<String>,
    /// Read the user table of a Django service: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. A password is
    /// better in PGPASSWORD than here, where other users of the machine can see it
    #[arg(long, value_name = "URL")]
    from_database: Option<String>,
    /// The table of the user model
    #[arg(long, requires = "from_database", default_value = "auth_user")]
    table: String,
    /// Tell what would come in, and change nothing
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
    /// Let accounts whose password cannot be verified come in without one
    #[arg(long)]
    accept_unusable: bool,
    /// The time zone of times without one: `TIME_ZONE` of a Django service with `USE_TZ=False`, such as Europe/Berlin. By
    /// default they are times of UTC
    #[arg(long, value_name = "NAME", value_parser = record::time_zone)]
    time_zone: Option<TimeZone>,
    /// Print the report as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// JSON, as `manage.py dumpdata` writes it
    Dumpdata,
    /// Lines of values, with a header
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
    /// The fields that are overwritten in any case, or none if existing accounts are not updated.
    fn force(&self) -> Option<ForcedFields> {
        self.update.then(|| ForcedFields {
            email: self.force_fields.contains(&Field::Email),
            is_active: self.force_fields.contains(&Field::IsActive),
        })
    }

    /// Runs the import. Publishes a new database after the commit.
    pub(super) async fn run(
        self,
        users: &AccountStore,
        destination: &mut Destination,
        audit: Audit,
    ) -> Result<(), CliError> {
        let clock = Clock::system();
        let now = || clock.now();
        let stop = signal::stop()?;
        let (import, report) = tokio::select! {
            biased;
            () = stop => return Err(CliError::interrupted()),
            written = self.write(users, destination, &now) => written?,
        };
        let Some(import) = import.filter(|_| !report.is_empty()) else {
            if self.json {
                print_json(report)?;
            }
            return Err("no account could come in. Nothing was changed".into());
        };
        if self.dry_run {
            import.roll_back().await.map_err(failed)?;
        } else {
            import.commit().await.map_err(failed)?;
            destination.publish(users).await?;
            if report.added + report.updated > 0 {
                audit.imported(report.added, report.updated, report.revoked);
            }
        }
        if self.json {
            print_json(report)
        } else {
            print(report)
        }
    }

    /// Writes all records in a transaction, which is left open. Without a record there is no transaction.
    async fn write<'a>(
        &self,
        users: &AccountStore,
        destination: &mut Destination,
        now: &'a (dyn Fn() -> OffsetDateTime + Sync),
    ) -> Result<(Option<accounts::Import<'a>>, Report), CliError> {
        let progress = Arc::new(AtomicU64::new(0));
        let (mut batches, size) = source::open(self, &progress).await?;
        let mut report = Report::new(self.dry_run, self.json, size);
        // Other writers are not held up before there is something to write.
        let mut import = None;
        let (mut later, mut holders) = (Vec::new(), HashMap::new());
        let rules = Rules {
            accept_unusable: self.accept_unusable,
            time_zone: self.time_zone.clone(),
        };
        while let Some(batch) = batches.recv().await {
            let mut arrivals = Vec::new();
            let mut origins = Vec::new();
            for record in batch? {
                let (place, id) = (record.place, report::id(&record.id));
                match record.candidate(&rules) {
                    Ok(Candidate {
                        arrival,
                        scheme,
                        warnings,
                        naive_times,
                    }) => {
                        report.naive_times += naive_times;
                        let origin = Origin {
                            place,
                            scheme,
                            warnings,
                            last_login: arrival.last_login,
                        };
                        origins.push(origin);
                        arrivals.push(arrival);
                    }
                    Err(why) => report.skipped(place, &id, &why),
                }
            }
            if arrivals.is_empty() {
                continue;
            }
            let import = match &mut import {
                Some(import) => import,
                none => {
                    destination.prepare().await?;
                    none.insert(users.import(self.force(), now).await.map_err(failed)?)
                }
            };
            let fates = import.import(arrivals).await.map_err(failed)?;
            for ((arrival, fate), origin) in fates.into_iter().zip(origins) {
                match held(&arrival, &fate) {
                    Some((id, holder)) if self.update => {
                        holders.insert(id, holder);
                        later.push((arrival, origin));
                    }
                    _ => origin.tell(&mut report, &arrival, &fate, self.update),
                }
            }
            report.progress(progress.load(Ordering::Relaxed));
        }
        if let Some(import) = &mut import {
            take_later(import, later, holders, &mut report).await?;
        }
        report.finish();
        Ok((import, report))
    }
}

/// What is told of an account that comes in, or does not.
struct Origin {
    place: Place,
    scheme: &'static str,
    warnings: Vec<String>,
    last_login: Option<OffsetDateTime>,
}

impl Origin {
    fn tell(
        &self,
        report: &mut Report,
        arrival: &ImportRecord,
        fate: &ImportOutcome,
        is_update: bool,
    ) {
        let id = arrival.id.to_string();
        if let ImportOutcome::Rejected(collision) = fate {
            report.skipped(self.place, &id, &collision.to_string());
            return;
        }
        report.came(fate, self.scheme);
        if let ImportOutcome::Updated(effects) | ImportOutcome::Unchanged(effects) = fate {
            report.preserved(self.place, &id, &effects.preserved);
        }
        if !matches!(fate, ImportOutcome::Unchanged(_)) {
            for warning in &self.warnings {
                report.warned(self.place, &id, warning);
            }
        }
        // An account that an update leaves unchanged lacks the login as well.
        if let (Some(dropped), None) = (self.last_login, arrival.last_login)
            && (is_update || !matches!(fate, ImportOutcome::Unchanged(_)))
        {
            let at = dropped.format(&Rfc3339).unwrap_or_default();
            let why = format!("its last_login, {at}, is in the future, and was left out");
            report.warned(self.place, &id, &why);
        }
    }
}

/// Imports the records whose email another account has, after that account has changed its own email. Accounts in a
/// cycle exchange their emails. Skips the records whose email is still in use at the end.
async fn take_later(
    import: &mut accounts::Import<'_>,
    mut later: Vec<(ImportRecord, Origin)>,
    mut holders: HashMap<i64, i64>,
    report: &mut Report,
) -> Result<(), CliError> {
    loop {
        let waits = waits(&holders);
        let is_in_cycle =
            |(arrival, _): &(ImportRecord, Origin)| waits.get(&arrival.id) == Some(&None);
        let (cycles, mut others): (Vec<_>, Vec<_>) = later.into_iter().partition(is_in_cycle);
        // Each record after the record of its holder, and otherwise in the order of the file.
        others.sort_by_key(|(arrival, origin)| (waits.get(&arrival.id).copied(), origin.place));
        let before = others.len();
        let (arrivals, mut origins): (Vec<_>, Vec<_>) = cycles.into_iter().unzip();
        let mut fates = import.exchange_emails(arrivals).await.map_err(failed)?;
        let (arrivals, others): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        fates.extend(import.retry(arrivals).await.map_err(failed)?);
        origins.extend(others);
        let (mut stuck, done): (Vec<_>, Vec<_>) =
            fates.into_iter().zip(origins).partition(|((_, fate), _)| {
                matches!(fate, ImportOutcome::Rejected(ImportConflict::Email(_)))
            });
        for ((arrival, fate), origin) in done {
            origin.tell(report, &arrival, &fate, true);
        }
        if stuck.len() == before {
            stuck.sort_by_key(|(_, origin)| origin.place);
            for ((arrival, fate), origin) in stuck {
                origin.tell(report, &arrival, &fate, true);
            }
            return Ok(());
        }
        holders = stuck
            .iter()
            .filter_map(|((arrival, fate), _)| held(arrival, fate))
            .collect();
        later = stuck
            .into_iter()
            .map(|((arrival, _), origin)| (arrival, origin))
            .collect();
    }
}

/// Returns the ID of a record, and the ID of the account that has the record's email.
fn held(arrival: &ImportRecord, fate: &ImportOutcome) -> Option<(i64, i64)> {
    match fate {
        ImportOutcome::Rejected(ImportConflict::Email(holder)) => Some((arrival.id, *holder)),
        _ => None,
    }
}

/// Counts for each record the other records that must be imported before it. A record in a cycle has no count.
fn waits(holders: &HashMap<i64, i64>) -> HashMap<i64, Option<usize>> {
    let mut waits = HashMap::new();
    for id in holders.keys() {
        let mut path = Vec::new();
        let mut next = *id;
        let mut places = HashMap::new();
        // Ends at a record with a count, at a record of this path, or at an account without a record.
        while !waits.contains_key(&next) && !places.contains_key(&next) {
            let Some(holder) = holders.get(&next) else {
                break;
            };
            places.insert(next, path.len());
            path.push(next);
            next = *holder;
        }
        let cycle = places
            .get(&next)
            .map_or(Vec::new(), |first| path.split_off(*first));
        waits.extend(cycle.into_iter().map(|id| (id, None)));
        let mut before = waits.get(&next).copied().flatten();
        for id in path.into_iter().rev() {
            let count = before.map_or(0, |count| count + 1);
            before = Some(count);
            waits.insert(id, before);
        }
    }
    waits
}

fn failed(error: DatabaseError) -> CliError {
    format!("{}. Nothing was changed", CliError::database(error).message).into()
}
