//! The tables of signet, one file a migration, oldest first; and how they are applied, once, by whoever
//! of several processes comes first.
//!
//! A migration that has shipped is never edited: the next one changes what it made. Replicas are updated one
//! after the other, so that old and new ones run side by side for a while. A migration that an old replica can
//! live with (it adds a table, an index, or a column with a default) says so in its name, `.._expand_..`;
//! the one that takes away what no running replica needs any more, in a later release, is a `.._contract_..`.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

mod apply;
mod lock;
mod m20261123_000001_users;
mod m20261123_000002_attempts;
mod m20261123_000003_imported;
mod m20261128_000004_expand_imported_fields;

pub use apply::{Error, Standing, apply, standing, step_back};
pub use lock::{begin, hold, is_contention};

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
            Box::new(m20261128_000004_expand_imported_fields::Migration),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{Migrator, MigratorTrait, apply::is_expanding};

    /// Every one since the first release, with which no older replica ever ran side by side.
    #[test]
    fn a_migration_says_whether_an_old_replica_can_live_with_it() {
        let names = Migrator::get_migration_files();
        for name in names.iter().skip(3).map(sea_orm_migration::Migration::name) {
            assert!(
                is_expanding(name) || name.contains("_contract_"),
                "{name} neither expands nor contracts"
            );
        }
        assert!(is_expanding("m20270101_000004_expand_sessions"));
        assert!(!is_expanding("m20270101_000005_contract_expand_sessions"));
        assert!(!is_expanding("m20270101_000006_expanded"));
    }
}
