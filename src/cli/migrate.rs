//! `signet migrate`

use clap::Subcommand;

use super::{database, error::CliError, output::print};
use crate::{
    accounts::{Access, AccountStore, Database},
    config::Settings,
    text::printable,
};

#[derive(clap::Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    direction: Option<Direction>,
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
        let done = direction.go(db.as_ref(), accounts.as_ref()).await;
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
    async fn go(
        self,
        db: Option<&Database>,
        accounts: Option<&AccountStore>,
    ) -> Result<(), CliError> {
        match (self, db.zip(accounts)) {
            (Self::Up, Some((db, _))) => match database::migrate(db).await?.as_slice() {
                [] => print("the database is up to date"),
                applied => applied
                    .iter()
                    .try_for_each(|name| print(format!("applied {name}"))),
            },
            (Self::Down { yes }, Some((db, accounts))) => down(db, accounts, yes).await,
            (Self::Up | Self::Down { .. }, None) => print("no migration is applied"),
            (Self::Status, _) => {
                let status = database::migration_status(db).await?;
                let applied = status.applied.iter().map(|name| ("applied", name));
                let pending = status.pending.iter().map(|name| ("pending", name));
                let unknown = status.unknown.iter().map(|name| ("newer", name));
                applied
                    .chain(pending)
                    .chain(unknown)
                    .try_for_each(|(state, name)| print(format!("{state:8} {}", printable(name))))
            }
        }
    }
}

async fn down(db: &Database, accounts: &AccountStore, yes: bool) -> Result<(), CliError> {
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
        return Err(format!(
            "there are {accounts} accounts, and taking back {newest} loses what only it has room for. \
             Make a backup, then say --yes"
        )
        .into());
    }
    match database::step_back(db).await? {
        Some(name) => print(format!("took back {name}")),
        None => print("no migration is applied"),
    }
}
