//! Opens the database of the settings, and brings it up to date.

use std::time::Duration;

use migration::{MigrationStatus, Migrator, MigratorTrait};
use tokio::time::{Instant, sleep};

use super::Failure;
use crate::{
    config::Settings,
    users::{self, Database, DatabaseError, Location, OpenError, Users},
};

/// How long a migration that runs elsewhere is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database, made if it is missing.
pub(super) async fn open(settings: &Settings) -> Result<Database, Failure> {
    users::open(&settings.database_url).await.map_err(unopened)
}

/// The database, or none where opening it would make it.
pub(super) async fn open_existing(settings: &Settings) -> Result<Option<Database>, Failure> {
    match Location::of(&settings.database_url).map_err(unopened)? {
        Location::File(path) if !path.exists() => Ok(None),
        _ => open(settings).await.map(Some),
    }
}

/// The accounts, after every migration that was pending.
pub(super) async fn users(settings: &Settings) -> Result<Users, Failure> {
    let db = open(settings).await?;
    migrate(&db).await?;
    Ok(Users::new(db))
}

/// The same, or where there is no database yet, one that is never written down.
pub(super) async fn users_or_none(settings: &Settings) -> Result<Users, Failure> {
    match Location::of(&settings.database_url).map_err(unopened)? {
        Location::File(path) if !path.exists() => {
            let db = users::open("sqlite::memory:").await.map_err(unopened)?;
            migrate(&db).await?;
            Ok(Users::new(db))
        }
        _ => users(settings).await,
    }
}

/// Applies every pending migration, or waits until another process that is at it has.
pub(super) async fn migrate(db: &Database) -> Result<Vec<String>, Failure> {
    let started = Instant::now();
    let mut applied = Vec::new();
    loop {
        let pending = pending(db).await?;
        if pending.is_empty() {
            return Ok(applied);
        }
        match Migrator::up(db, None).await {
            Ok(()) => applied = pending,
            Err(error) if started.elapsed() > patience(&error) => return Err(failed(error)),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A database that is busy will be free; of a table that is there already, another process may just be telling
/// that it has made it.
fn patience(error: &DatabaseError) -> Duration {
    if users::is_temporary(error) {
        PATIENCE
    } else {
        Duration::from_millis(500)
    }
}

/// The names of the migrations that are not applied yet.
pub(super) async fn pending(db: &Database) -> Result<Vec<String>, Failure> {
    let status = status(Some(db)).await?;
    Ok(status
        .into_iter()
        .filter(|(_, status)| *status == MigrationStatus::Pending)
        .map(|(name, _)| name)
        .collect())
}

/// Every migration, and whether it is applied.
pub(super) async fn status(
    db: Option<&Database>,
) -> Result<Vec<(String, MigrationStatus)>, Failure> {
    let migrations = match db {
        Some(db) => Migrator::get_migration_with_status_read_only(db)
            .await
            .map_err(failed)?,
        None => Migrator::get_migration_files(),
    };
    Ok(migrations
        .iter()
        .map(|migration| (migration.name().to_owned(), migration.status()))
        .collect())
}

/// The name of the newest migration that is applied.
pub(super) async fn newest(db: &Database) -> Result<Option<String>, Failure> {
    let newest = status(Some(db))
        .await?
        .into_iter()
        .rfind(|(_, status)| *status == MigrationStatus::Applied);
    Ok(newest.map(|(name, _)| name))
}

/// Takes back the newest migration.
pub(super) async fn step_back(db: &Database) -> Result<Option<String>, Failure> {
    let newest = newest(db).await?;
    if newest.is_some() {
        Migrator::down(db, Some(1)).await.map_err(failed)?;
    }
    Ok(newest)
}

fn failed(error: DatabaseError) -> Failure {
    let advice = match &error {
        // What sea-orm says of a migration that was applied, and is not in this binary.
        DatabaseError::Custom(_) => ". A newer signet has migrated this database: run that one",
        error if users::is_temporary(error) => ". Another process holds it: try again",
        _ => ". Is it another program's database?",
    };
    format!("the database cannot be brought up to date: {error}{advice}").into()
}

fn unopened(error: OpenError) -> Failure {
    format!("the database of SIGNET_DATABASE_URL cannot be used: {error}").into()
}
