//! Applies pending migrations, or reverts the newest migration. Each migration has a transaction with a lock, so that two processes never
//! apply the same migration, and a killed process leaves no incomplete migration.

use std::time::Duration;

use sea_orm_migration::{
    IntoSchemaManagerConnection, MigratorTrait, SchemaManager,
    sea_orm::{DatabaseConnection, DbErr, EntityTrait, QueryOrder},
    seaql_migrations::{Column, Entity},
};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    Migrator,
    lock::{Lock, begin_locked, is_contention},
};

/// Time between attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Lock timeout of an attempt. It is short, because a migration that waits for a table blocks the queries on this table.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Why migrations were not applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer version has migrated this database, and this version is incompatible with its tables.
    #[error("a newer version of signet has migrated the database: {}", .0.join(", "))]
    Newer(Vec<String>),
    /// Timeout while another process locked the database.
    #[error("another process has locked the database for {0:?}")]
    Busy(Duration),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Error {
    /// Returns how an operator can fix the cause. `None` for errors of the database.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Newer(_) => Some("run the newer version: this version cannot use the database"),
            Self::Busy(_) => Some(
                "find the process, and try again; on PostgreSQL, pg_locks lists the processes with locks",
            ),
            Self::Database(_) => None,
        }
    }
}

/// The migrations of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The applied migrations, oldest first.
    pub applied: Vec<String>,
    /// The pending migrations, oldest first.
    pub pending: Vec<String>,
    /// Applied migrations of a newer version, which this version does not contain.
    pub unknown: Vec<String>,
}

impl MigrationStatus {
    /// Returns the status of an empty database.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Vec::new())
    }

    fn of(recorded: Vec<String>) -> Self {
        let known: Vec<_> = Migrator::get_migration_files()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        let (_, unknown) = recorded
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(|name| known.contains(name));
        let (applied, pending) = known.into_iter().partition(|name| recorded.contains(name));
        Self {
            applied,
            pending,
            unknown,
        }
    }

    /// Checks that this version is compatible with the migrations of newer versions.
    ///
    /// # Errors
    /// When a newer migration is incompatible, or older migrations are pending.
    pub fn check(&self) -> Result<(), Error> {
        let breaks = |name: &&String| !is_backward_compatible(name) || !self.pending.is_empty();
        let breaking: Vec<_> = self.unknown.iter().filter(breaks).cloned().collect();
        if breaking.is_empty() {
            Ok(())
        } else {
            Err(Error::Newer(breaking))
        }
    }
}

/// Returns whether an older version is compatible with this migration. Depends only on the name, because the older version does not
/// contain the migration.
pub(crate) fn is_backward_compatible(name: &str) -> bool {
    name.splitn(3, '_')
        .nth(2)
        .is_some_and(|what| what.starts_with("expand_"))
}

/// Returns the migrations of a database, without changes to the database.
///
/// # Errors
/// When the query fails.
pub async fn status<'c>(
    db: impl IntoSchemaManagerConnection<'c>,
) -> Result<MigrationStatus, DbErr> {
    let manager = SchemaManager::new(db);
    if !manager.has_table("seaql_migrations").await? {
        return Ok(MigrationStatus::empty());
    }
    let recorded = Entity::find().order_by_asc(Column::Version);
    let recorded = recorded.all(manager.get_connection()).await?;
    Ok(MigrationStatus::of(
        recorded.into_iter().map(|row| row.version).collect(),
    ))
}

/// Applies every pending migration, and returns the migrations that this process applied. `wait` is the time limit for the lock of
/// each migration.
///
/// # Errors
/// When this version is too old for the database, the lock is not available within `wait`, or the database fails.
pub async fn apply(db: &DatabaseConnection, wait: Duration) -> Result<Vec<String>, Error> {
    let status = status(db).await?;
    status.check()?;
    let mut applied = Vec::new();
    if status.pending.is_empty() {
        return Ok(applied);
    }
    while let Some(name) = step(db, Direction::Up, wait).await? {
        applied.push(name);
    }
    Ok(applied)
}

/// Reverts the newest migration, and returns its name.
///
/// # Errors
/// As for [`apply`].
pub async fn step_back(db: &DatabaseConnection, wait: Duration) -> Result<Option<String>, Error> {
    step(db, Direction::Down, wait).await
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Applies or reverts a migration, and returns its name. Retries until `wait` has passed. The migration itself may take longer.
async fn step(
    db: &DatabaseConnection,
    direction: Direction,
    wait: Duration,
) -> Result<Option<String>, Error> {
    let deadline = Instant::now() + wait;
    let mut is_first = true;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(Error::Busy(wait));
        }
        match try_step(db, direction, remaining.min(LOCK_TIMEOUT)).await {
            Err(Error::Database(error)) if is_contention(&error) => {}
            done => return done,
        }
        if is_first {
            info!("waiting for another process that migrates the database");
            is_first = false;
        }
        sleep(PAUSE).await;
    }
}

async fn try_step(
    db: &DatabaseConnection,
    direction: Direction,
    lock_timeout: Duration,
) -> Result<Option<String>, Error> {
    let transaction = begin_locked(db, Lock::Migrations, lock_timeout).await?;
    let status = status(&transaction).await?;
    status.check()?;
    let name = match direction {
        Direction::Up => status.pending.into_iter().next(),
        Direction::Down => status.applied.into_iter().next_back(),
    };
    match (&name, direction) {
        (None, _) => {}
        (Some(_), Direction::Up) => Migrator::up(&transaction, Some(1)).await?,
        (Some(_), Direction::Down) if !status.unknown.is_empty() => {
            return Err(Error::Newer(status.unknown));
        }
        (Some(_), Direction::Down) => Migrator::down(&transaction, Some(1)).await?,
    }
    transaction.commit().await?;
    Ok(name)
}
