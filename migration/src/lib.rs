//! The migrations of the database, and their application by one of several processes.
//!
//! A released migration is never edited. Replicas are updated one after the other, so that old and new replicas run at the same time. A
//! migration with a name like `.._expand_..` is compatible with the previous release: it adds a table, an index, or a column with a
//! default. A migration with a name like `.._contract_..`, in a later release, removes tables and columns that no replica uses.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

mod apply;
mod lock;
mod m20261123_000001_users;
mod m20261123_000002_attempts;
mod m20261123_000003_imported;
mod m20261128_000004_expand_imported_fields;
mod m20261129_000005_expand_maintenance;
mod m20261129_000006_expand_signing_keys;
mod m20261129_000007_expand_served_keys;

pub use apply::{Error, MigrationStatus, apply, status, step_back};
pub use lock::{Lock, begin_locked, is_contention};
pub use m20261129_000005_expand_maintenance::MAINTENANCE;

/// Every migration, in the order of application.
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
            Box::new(m20261129_000005_expand_maintenance::Migration),
            Box::new(m20261129_000006_expand_signing_keys::Migration),
            Box::new(m20261129_000007_expand_served_keys::Migration),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{Migrator, MigratorTrait, apply::is_backward_compatible};

    /// Checks every migration after the first release. No older release ran at the same time as the first release.
    #[test]
    fn name_of_a_migration_shows_its_compatibility() {
        let names = Migrator::get_migration_files();
        for name in names.iter().skip(3).map(sea_orm_migration::Migration::name) {
            assert!(
                is_backward_compatible(name) || name.contains("_contract_"),
                "{name} is neither an expand nor a contract migration"
            );
        }
        assert!(is_backward_compatible("m20270101_000004_expand_sessions"));
        assert!(!is_backward_compatible(
            "m20270101_000005_contract_expand_sessions"
        ));
        assert!(!is_backward_compatible("m20270101_000006_expanded"));
    }
}
