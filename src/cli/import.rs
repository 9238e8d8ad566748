//! `signet user import`: accounts of a Django service, in one transaction.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Failure, print, signal};
use crate::{
    auth::{Audit, Clock},
    users::{self, Arrival, Collision, DatabaseError, Fate, Users},
};

mod dump;
mod record;
mod report;
mod source;
mod table;

use record::{Candidate, Place};
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
    /// Bring accounts that are here already up to date, their e-mail and password too
    #[arg(long)]
    update: bool,
    /// Let accounts whose password cannot be verified come in without one
    #[arg(long)]
    accept_unusable: bool,
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

impl Import {
    pub(super) async fn run(self, users: &Users, audit: Audit) -> Result<(), Failure> {
        let mut stop = pin!(signal::stop()?);
        let progress = Arc::new(AtomicU64::new(0));
        let (mut batches, size) = tokio::select! {
            source = source::open(&self, &progress) => source?,
            () = &mut stop => return Err(Failure::interrupted()),
        };
        let mut report = Report::new(self.dry_run, self.json, size);
        // Other writers are not held up before there is something to write.
        let mut import = None;
        let mut later = Vec::new();
        loop {
            let batch = tokio::select! {
                biased;
                () = &mut stop => return Err(Failure::interrupted()),
                batch = batches.recv() => batch,
            };
            let Some(batch) = batch else { break };
            let mut arrivals = Vec::new();
            let mut origins = Vec::new();
            for record in batch? {
                let (place, id) = (record.place, report::id(&record.id));
                match record.candidate(self.accept_unusable) {
                    Ok(Candidate {
                        arrival,
                        scheme,
                        warnings,
                    }) => {
                        let origin = Origin {
                            place,
                            scheme,
                            warnings,
                        };
                        origins.push(origin);
                        arrivals.push(arrival);
                    }
                    Err(why) => report.skipped(place, &id, &why),
                }
            }
            let import = match &mut import {
                Some(import) => import,
                none => none.insert(
                    users
                        .import(self.update, Clock::system().now())
                        .await
                        .map_err(failed)?,
                ),
            };
            let fates = import.take(arrivals).await.map_err(failed)?;
            for ((arrival, fate), origin) in fates.into_iter().zip(origins) {
                if self.update && matches!(fate, Fate::Refused(Collision::Email(_))) {
                    later.push((arrival, origin));
                } else {
                    origin.tell(&mut report, arrival.id, &fate);
                }
            }
            report.progress(progress.load(Ordering::Relaxed));
        }
        if let Some(import) = &mut import {
            take_later(import, later, &mut report).await?;
        }
        report.finish();
        let Some(import) = import.filter(|_| !report.is_empty()) else {
            if self.json {
                print(report)?;
            }
            return Err("no account could come in. Nothing was changed".into());
        };
        if self.dry_run {
            import.roll_back().await.map_err(failed)?;
        } else {
            import.commit().await.map_err(failed)?;
            if report.added + report.updated > 0 {
                audit.imported(report.added, report.updated);
            }
        }
        print(report)
    }
}

/// What is told of an account that comes in, or does not.
struct Origin {
    place: Place,
    scheme: &'static str,
    warnings: Vec<String>,
}

impl Origin {
    fn tell(&self, report: &mut Report, id: i64, fate: &Fate) {
        let id = id.to_string();
        if let Fate::Refused(collision) = fate {
            report.skipped(self.place, &id, &collision.to_string());
            return;
        }
        report.came(fate, self.scheme);
        if *fate != Fate::Unchanged {
            for warning in &self.warnings {
                report.warned(self.place, &id, warning);
            }
        }
    }
}

/// E-mails that move from account to account come free as the others are taken in, in whatever order.
async fn take_later(
    import: &mut users::Import,
    mut later: Vec<(Arrival, Origin)>,
    report: &mut Report,
) -> Result<(), Failure> {
    while !later.is_empty() {
        let before = later.len();
        let (mut arrivals, origins): (Vec<_>, Vec<_>) = later.into_iter().unzip();
        let mut fates = Vec::with_capacity(before);
        while !arrivals.is_empty() {
            let batch = arrivals
                .drain(..arrivals.len().min(source::BATCH))
                .collect();
            fates.extend(import.take_again(batch).await.map_err(failed)?);
        }
        let (stuck, done): (Vec<_>, Vec<_>) = fates
            .into_iter()
            .zip(origins)
            .partition(|((_, fate), _)| matches!(fate, Fate::Refused(Collision::Email(_))));
        for ((arrival, fate), origin) in done {
            origin.tell(report, arrival.id, &fate);
        }
        if stuck.len() == before {
            let holders = stuck.iter().filter_map(|((arrival, fate), _)| match fate {
                Fate::Refused(Collision::Email(holder)) => Some((arrival.id, *holder)),
                _ => None,
            });
            let swapped = swapped(&holders.collect());
            if swapped.is_empty() {
                for ((arrival, fate), origin) in stuck {
                    origin.tell(report, arrival.id, &fate);
                }
                return Ok(());
            }
            import.free_emails(&swapped).await.map_err(failed)?;
        }
        later = stuck
            .into_iter()
            .map(|((arrival, _), origin)| (arrival, origin))
            .collect();
    }
    Ok(())
}

/// The accounts that hold each other's e-mails, in a circle.
fn swapped(holders: &HashMap<i64, i64>) -> Vec<i64> {
    /// Longer circles are nobody's doing.
    const LONGEST: usize = 100;
    let is_in_circle = |id: &i64| {
        std::iter::successors(holders.get(id), |holder| holders.get(holder))
            .take(LONGEST)
            .any(|holder| holder == id)
    };
    holders.keys().copied().filter(is_in_circle).collect()
}

fn failed(error: DatabaseError) -> Failure {
    format!(
        "{}. Nothing was changed",
        super::user::database_failed(error).message
    )
    .into()
}
