//! `signet migrate`

use clap::Subcommand;
use serde_json::json;

use super::{
    database,
    error::CliError,
    output::{OutputArgs, Table, confirm, counted, note, print_json},
};
use crate::{
    accounts::{Access, AccountStore, Database},
    config::Settings,
};

#[derive(clap::Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    direction: Option<Direction>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum Direction {
    /// Apply all pending migrations (the default)
    Up,
    /// Revert the newest migration, and delete the data that it added
    Down {
        /// Revert even if there are accounts
        #[arg(long)]
        yes: bool,
    },
    /// List the migrations and whether they are applied
    Status,
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let direction = self.direction.unwrap_or(Direction::Up);
        let output = OutputArgs { json: self.json };
        let limits = settings.database_limits();
        let missing = database::missing(settings)?;
        let db = match direction {
            Direction::Up => Some(database::open(settings, limits).await?),
            Direction::Down { .. } => {
                database::open_existing(settings, limits, Access::Write).await?
            }
            Direction::Status => {
                database::open_existing(settings, limits, Access::ReadOnly).await?
            }
        };
        let accounts = db.clone().map(|db| AccountStore::new(db, limits));
        let done = direction.run(db.as_ref(), accounts.as_ref(), output).await;
        if let (Direction::Up, Some(path), Ok(())) = (direction, missing, &done) {
            database::log_created(&path);
        }
        if let Some(accounts) = accounts {
            accounts.close().await;
        }
        done
    }
}

impl Direction {
    async fn run(
        self,
        db: Option<&Database>,
        accounts: Option<&AccountStore>,
        output: OutputArgs,
    ) -> Result<(), CliError> {
        match (self, db.zip(accounts)) {
            (Self::Up, Some((db, _))) => up(db, output).await,
            (Self::Down { yes }, Some((db, accounts))) => {
                let reverted = down(db, accounts, yes).await?;
                print_reverted(reverted, output)
            }
            (Self::Up | Self::Down { .. }, None) => print_reverted(None, output),
            (Self::Status, _) => status(db, output).await,
        }
    }
}

async fn up(db: &Database, output: OutputArgs) -> Result<(), CliError> {
    let applied = database::migrate(db).await?;
    if output.json {
        return print_json(json!({ "applied": applied }));
    }
    if applied.is_empty() {
        return confirm("the database is up to date");
    }
    applied
        .iter()
        .try_for_each(|name| confirm(format!("applied {name}")))
}

/// Reverts the newest migration, and returns its name.
async fn down(
    db: &Database,
    accounts: &AccountStore,
    yes: bool,
) -> Result<Option<String>, CliError> {
    let status = database::migration_status(Some(db)).await?;
    let accounts = if status.applied.is_empty() {
        // Without migrations, there is no table of accounts.
        0
    } else {
        accounts.count().await.map_err(CliError::database)?
    };
    if let Some(newest) = status.applied.last()
        && accounts > 0
        && !yes
    {
        let error = CliError::from(format!(
            "the database contains {}: reverting {newest} deletes the data that the migration added",
            counted(accounts.unsigned_abs(), "account")
        ));
        return Err(error.hint("make a backup, and confirm with --yes"));
    }
    database::step_back(db).await
}

fn print_reverted(reverted: Option<String>, output: OutputArgs) -> Result<(), CliError> {
    let text = match &reverted {
        Some(name) => format!("reverted {name}"),
        None => "no migration is applied".to_owned(),
    };
    output.confirm(text, json!({ "reverted": reverted }))
}

async fn status(db: Option<&Database>, output: OutputArgs) -> Result<(), CliError> {
    let status = database::migration_status(db).await?;
    let applied = status.applied.iter().map(|name| ("applied", name));
    let pending = status.pending.iter().map(|name| ("pending", name));
    let unknown = status.unknown.iter().map(|name| ("newer", name));
    let migrations = applied.chain(pending).chain(unknown);
    if output.json {
        let migrations = migrations.map(|(state, name)| json!({ "name": name, "state": state }));
        return print_json(migrations.collect::<Vec<_>>());
    }
    let mut table = Table::new(["STATE", "MIGRATION"]);
    for (state, name) in migrations {
        table.row([state.into(), name.clone()]);
    }
    if db.is_none() {
        note("the database does not exist yet");
    }
    table.print().map(drop)
}
