//! The tables of signet, one file a migration, oldest first.
//!
//! A migration that has shipped is never edited: the next one changes what it made.

pub use sea_orm_migration::{MigrationStatus, MigratorTrait};
use sea_orm_migration::{MigrationTrait, async_trait};

mod m20261123_000001_users;
mod m20261123_000002_attempts;
mod m20261123_000003_imported;

/// Every migration, in the order in which they apply.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_users::Migration),
            Box::new(m20261123_000002_attempts::Migration),
            Box::new(m20261123_000003_imported::Migration),
        ]
    }
}
