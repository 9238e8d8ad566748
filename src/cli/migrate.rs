//! `signet migrate`

use clap::Subcommand;

use super::{Failure, database};
use crate::config::Settings;

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
    Down,
    /// Tell which migrations are applied
    Status,
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let db = database::open(settings).await?;
        match self.direction.unwrap_or(Direction::Up) {
            Direction::Up => match database::migrate(&db).await?.as_slice() {
                [] => println!("the database is up to date"),
                applied => applied.iter().for_each(|name| println!("applied {name}")),
            },
            Direction::Down => match database::step_back(&db).await? {
                Some(name) => println!("took back {name}"),
                None => println!("no migration is applied"),
            },
            Direction::Status => {
                for (name, status) in database::status(&db).await? {
                    println!("{:8} {name}", status.to_string().to_lowercase());
                }
            }
        }
        Ok(())
    }
}
