//! `signet database check`

use serde_json::json;

use super::{contents, existing, failed, migration_status};
use crate::{
    accounts::{Access, AccountStore, Contents, Database, Limits, ReadError},
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, note, print_json},
    },
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    output: OutputArgs,
}

impl Check {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let db = existing(settings, Access::Read).await?;
        let checked = check(&db, settings.database_limits()).await;
        // The error of the check is more important.
        let _ = db.close().await;
        let checked = checked?;
        if self.output.json {
            return print_json(json!({
                "damaged": checked.is_damaged,
                "pending": checked.pending,
                "contents": checked.contents.as_ref().map(contents::as_json),
            }));
        }
        let damage = match checked.is_damaged {
            Some(_) => "the database has no damage",
            None => "PostgreSQL checks itself for damage (pg_amcheck)",
        };
        let Some(contents) = checked.contents else {
            let pending = checked.pending.join(", ");
            confirm(format!("{damage}, and migrations are pending: {pending}"))?;
            note("the rows were not read; `signet migrate` applies the migrations");
            return Ok(());
        };
        confirm(format!("{damage}, and all migrations are applied"))?;
        contents::print(&contents, self.output)
    }
}

/// What the check found.
struct Checked {
    /// `None` for PostgreSQL.
    is_damaged: Option<bool>,
    pending: Vec<String>,
    /// `None` if migrations are pending.
    contents: Option<Contents>,
}

/// Checks for damage first, because a damaged database may fail each other query.
async fn check(db: &Database, limits: Limits) -> Result<Checked, CliError> {
    let accounts = AccountStore::new(db.clone(), limits);
    let damages = accounts.damages().await.map_err(CliError::database)?;
    reject_damage(damages.as_deref())?;
    let status = migration_status(Some(db)).await?;
    status.check().map_err(failed)?;
    let contents = if status.pending.is_empty() {
        Some(accounts.contents().await.map_err(unreadable)?)
    } else {
        None
    };
    Ok(Checked {
        is_damaged: damages.map(|_| false),
        pending: status.pending,
        contents,
    })
}

/// Rejects a database with damage.
pub(super) fn reject_damage(damages: Option<&[String]>) -> Result<(), CliError> {
    match damages {
        None | Some([]) => Ok(()),
        Some(damages) => {
            let damages = damages.join("; ");
            let error = CliError::from(format!("the database is damaged: {damages}"));
            Err(error.hint("stop the service, and restore a backup"))
        }
    }
}

fn unreadable(error: ReadError) -> CliError {
    match error {
        ReadError::Database(error) => CliError::database(error),
        ReadError::Row { .. } => {
            CliError::from(error.to_string()).hint("correct or delete the row, or restore a backup")
        }
    }
}
