//! Applies what is pending, or takes back the newest: a step at a time, each in a transaction of its own,
//! and never two processes at once. Whoever is killed leaves whole steps.

use std::time::Duration;

use sea_orm_migration::{
    IntoSchemaManagerConnection, MigratorTrait, SchemaManager,
    sea_orm::{DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryOrder},
    seaql_migrations::{Column, Entity},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{
    Migrator,
    lock::{Lock, begin, is_contention},
};

/// How often a lock that another process has is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// Why migrations were not applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer signet has migrated this database, so that this one cannot work with it any more.
    #[error(
        "a newer signet has migrated this database, so that this one cannot work with it: {}. Run that one",
        .0.join(", ")
    )]
    Newer(Vec<String>),
    /// Another process is at it.
    #[error(
        "another process has been migrating this database, or using it, for {0:?}: see what holds it up (on PostgreSQL, \
         the table `locks` tells who migrates), and try again"
    )]
    Busy(Duration),
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Where a database stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that are applied, oldest first.
    pub applied: Vec<String>,
    /// Those that are not, oldest first.
    pub pending: Vec<String>,
    /// Those that are applied, and that only a newer signet knows.
    pub newer: Vec<String>,
}

impl Standing {
    /// Before the first migration.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self::of(Vec::new())
    }

    fn of(recorded: Vec<String>) -> Self {
        let known: Vec<_> = Migrator::get_migration_files()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        let (_, newer) = recorded
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(|name| known.contains(name));
        let (applied, pending) = known.into_iter().partition(|name| recorded.contains(name));
        Self {
            applied,
            pending,
            newer,
        }
    }

    /// Whether this signet can work with what newer ones have made: it can live with what only expands.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self) -> Result<(), Error> {
        let breaks = |name: &&String| !is_expanding(name) || !self.pending.is_empty();
        let breaking: Vec<_> = self.newer.iter().filter(breaks).cloned().collect();
        if breaking.is_empty() {
            Ok(())
        } else {
            Err(Error::Newer(breaking))
        }
    }
}

/// Whether an older signet can live with this migration: all that it knows of it is the name.
pub(crate) fn is_expanding(name: &str) -> bool {
    name.splitn(3, '_')
        .nth(2)
        .is_some_and(|what| what.starts_with("expand_"))
}

/// Where this database stands. It asks, and makes nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn standing<'c>(db: impl IntoSchemaManagerConnection<'c>) -> Result<Standing, DbErr> {
    let manager = SchemaManager::new(db);
    if !manager.has_table("seaql_migrations").await? {
        return Ok(Standing::of_nothing());
    }
    let recorded = Entity::find().order_by_asc(Column::Version);
    let recorded = recorded.all(manager.get_connection()).await?;
    Ok(Standing::of(
        recorded.into_iter().map(|row| row.version).collect(),
    ))
}

/// Applies every migration that is pending, as `owner`, a name that no other process has; waits with `patience` for one that
/// is at it already. Returns those that were applied here.
///
/// # Errors
/// When this signet is too old for the database, another process does not come to an end, or the database does not do it.
pub async fn apply(
    db: &DatabaseConnection,
    owner: &str,
    patience: Duration,
) -> Result<Vec<String>, Error> {
    let standing = standing(db).await?;
    standing.check()?;
    if standing.pending.is_empty() {
        return Ok(Vec::new());
    }
    let mut alone = Alone::new(db, owner, patience);
    let applied = alone.all().await;
    alone.end().await;
    applied
}

/// Takes back the newest migration, and returns its name.
///
/// # Errors
/// As for [`apply`].
pub async fn step_back(
    db: &DatabaseConnection,
    owner: &str,
    patience: Duration,
) -> Result<Option<String>, Error> {
    let mut alone = Alone::new(db, owner, patience);
    let name = alone.step(Direction::Down).await;
    alone.end().await;
    name
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Does steps while nobody else does.
struct Alone<'a> {
    db: &'a DatabaseConnection,
    owner: &'a str,
    patience: Duration,
    /// On SQLite there is none: a transaction that writes is alone.
    lock: Option<Lock<'a>>,
}

impl<'a> Alone<'a> {
    fn new(db: &'a DatabaseConnection, owner: &'a str, patience: Duration) -> Self {
        Self {
            db,
            owner,
            patience,
            lock: None,
        }
    }

    /// Applies one after the other.
    async fn all(&mut self) -> Result<Vec<String>, Error> {
        let mut applied = Vec::new();
        while let Some(name) = self.step(Direction::Up).await? {
            applied.push(name);
        }
        Ok(applied)
    }

    /// Does the next step, and returns the name of its migration, if there was one to do.
    async fn step(&mut self, direction: Direction) -> Result<Option<String>, Error> {
        let deadline = Instant::now() + self.patience;
        let mut told = false;
        // It is others who are waited for: a step of our own takes as long as it takes.
        while Instant::now() < deadline {
            match self.try_step(direction).await {
                Ok(Some(done)) => return Ok(done.name),
                Ok(None) => {}
                Err(Error::Database(error)) if is_contention(&error) => {}
                Err(error) => return Err(error),
            }
            if !told {
                info!("another process works on the database: waiting for it to migrate");
                told = true;
            }
            sleep(PAUSE).await;
        }
        Err(Error::Busy(self.patience))
    }

    /// None is that another process is at it.
    async fn try_step(&mut self, direction: Direction) -> Result<Option<Done>, Error> {
        if self.db.get_database_backend() != DbBackend::Sqlite && self.lock.is_none() {
            self.lock = Lock::take(self.db, "migrations", self.owner).await?;
            if self.lock.is_none() {
                return Ok(None);
            }
        }
        let transaction = begin(self.db).await?;
        if let Some(lock) = &self.lock
            && !lock.renew(&transaction).await?
        {
            // We were held up for so long that another has taken it.
            self.lock = None;
            return Ok(None);
        }
        let standing = standing(&transaction).await?;
        standing.check()?;
        let name = match direction {
            Direction::Up => standing.pending.into_iter().next(),
            Direction::Down => standing.applied.into_iter().next_back(),
        };
        match (&name, direction) {
            (None, _) => {}
            (Some(_), Direction::Up) => Migrator::up(&transaction, Some(1)).await?,
            (Some(_), Direction::Down) if !standing.newer.is_empty() => {
                return Err(Error::Newer(standing.newer));
            }
            (Some(_), Direction::Down) => Migrator::down(&transaction, Some(1)).await?,
        }
        transaction.commit().await?;
        Ok(Some(Done { name }))
    }

    async fn end(self) {
        let Some(lock) = self.lock else { return };
        // What was done is done, and what failed is told: this is for the next one alone.
        if let Err(error) = lock.release(self.db).await {
            warn!(%error, "the lock of the migrations is not given back: the next one waits until it expires");
        }
    }
}

struct Done {
    name: Option<String>,
}
