//! `signet migrate`

use clap::Subcommand;

use super::{Failure, database, print};
use crate::{config::Settings, users::Users};

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
        /// Go on even if accounts are lost
        #[arg(long)]
        yes: bool,
    },
    /// Tell which migrations are applied
    Status,
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        match self.direction.unwrap_or(Direction::Up) {
            Direction::Up => {
                let db = database::open(settings).await?;
                match database::migrate(&db).await?.as_slice() {
                    [] => print("the database is up to date"),
                    applied => applied
                        .iter()
                        .try_for_each(|name| print(format!("applied {name}"))),
                }
            }
            Direction::Down { yes } => down(settings, yes).await,
            Direction::Status => {
                let db = database::open_existing(settings).await?;
                let migrations = database::status(db.as_ref()).await?;
                migrations.iter().try_for_each(|(name, status)| {
                    print(format!("{:8} {name}", status.to_string().to_lowercase()))
                })
            }
        }
    }
}

async fn down(settings: &Settings, yes: bool) -> Result<(), Failure> {
    let Some(db) = database::open_existing(settings).await? else {
        return print("no migration is applied");
    };
    // Without the table there are none to lose.
    let accounts = Users::new(db.clone()).count().await.unwrap_or(0);
    if accounts > 0 && !yes {
        return Err(format!(
            "this loses {accounts} accounts, and the memory of ids that may not come back. \
             Make a backup, then say --yes"
        )
        .into());
    }
    match database::step_back(&db).await? {
        Some(name) => print(format!("took back {name}")),
        None => print("no migration is applied"),
    }
}
