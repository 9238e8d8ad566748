//! Opens the database of the settings, and brings it up to date.

use migration::{MigrationStatus, Migrator, MigratorTrait};
use tracing::info;

use super::Failure;
use crate::{
    config::Settings,
    users::{self, Database, DatabaseError, Users},
};

/// The database as it is.
pub(super) async fn open(settings: &Settings) -> Result<Database, Failure> {
    users::open(&settings.database_url)
        .await
        .map_err(|error| format!("SIGNET_DATABASE_URL does not lead to a database: {error}").into())
}

/// The accounts, after every migration that was pending.
pub(super) async fn users(settings: &Settings) -> Result<Users, Failure> {
    let db = open(settings).await?;
    migrate(&db).await?;
    Ok(Users::new(db))
}

/// Applies every pending migration.
pub(super) async fn migrate(db: &Database) -> Result<Vec<String>, Failure> {
    let pending = pending(db).await?;
    Migrator::up(db, None).await.map_err(failed)?;
    for name in &pending {
        info!(name, "applied a migration");
    }
    Ok(pending)
}

/// The names of the migrations that are not applied yet.
pub(super) async fn pending(db: &Database) -> Result<Vec<String>, Failure> {
    let status = status(db).await?;
    Ok(status
        .into_iter()
        .filter(|(_, status)| *status == MigrationStatus::Pending)
        .map(|(name, _)| name)
        .collect())
}

/// Every migration, and whether it is applied.
pub(super) async fn status(db: &Database) -> Result<Vec<(String, MigrationStatus)>, Failure> {
    let migrations = Migrator::get_migration_with_status_read_only(db)
        .await
        .map_err(failed)?;
    Ok(migrations
        .iter()
        .map(|migration| (migration.name().to_owned(), migration.status()))
        .collect())
}

/// Takes back the newest migration.
pub(super) async fn step_back(db: &Database) -> Result<Option<String>, Failure> {
    let newest = status(db)
        .await?
        .into_iter()
        .rfind(|(_, status)| *status == MigrationStatus::Applied);
    if newest.is_some() {
        Migrator::down(db, Some(1)).await.map_err(failed)?;
    }
    Ok(newest.map(|(name, _)| name))
}

fn failed(error: DatabaseError) -> Failure {
    format!(
        "the database cannot be brought up to date: {error}. If a newer signet has migrated it, run that one"
    )
    .into()
}
