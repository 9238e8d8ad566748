//! `signet migrate`

use clap::Subcommand;

use super::{Failure, database, print};
use crate::{
    config::Settings,
    users::{Database, Users},
};

#[derive(clap::Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    direction: Option<Direction>,
}

#[derive(Subcommand)]
enum Direction {
    /// Apply every pending migration (the default)
    Up,
    /// Take back the newest migration, and the data that only it has room for
    Down {
        /// Go on even if there are accounts
        #[arg(long)]
        yes: bool,
    },
    /// Tell which migrations are applied
    Status,
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let direction = self.direction.unwrap_or(Direction::Up);
        let db = match direction {
            Direction::Up => Some(database::open(settings).await?),
            // Looking makes nothing.
            Direction::Down { .. } | Direction::Status => database::open_existing(settings).await?,
        };
        let done = direction.go(db.as_ref()).await;
        if let Some(db) = db {
            Users::new(db).close().await;
        }
        done
    }
}

impl Direction {
    async fn go(self, db: Option<&Database>) -> Result<(), Failure> {
        match (self, db) {
            (Self::Up, Some(db)) => match database::migrate(db).await?.as_slice() {
                [] => print("the database is up to date"),
                applied => applied
                    .iter()
                    .try_for_each(|name| print(format!("applied {name}"))),
            },
            (Self::Down { yes }, Some(db)) => down(db, yes).await,
            (Self::Up | Self::Down { .. }, None) => print("no migration is applied"),
            (Self::Status, db) => {
                let migrations = database::status(db).await?;
                migrations.iter().try_for_each(|(name, status)| {
                    print(format!("{:8} {name}", status.to_string().to_lowercase()))
                })
            }
        }
    }
}

async fn down(db: &Database, yes: bool) -> Result<(), Failure> {
    // Without the table there are none to lose.
    let accounts = Users::new(db.clone()).count().await.unwrap_or(0);
    if let Some(newest) = database::newest(db).await?
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
