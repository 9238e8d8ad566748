//! Opens the database of the settings, and brings it up to date.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use migration::Standing;
use tracing::info;

use super::error::CliError;
use crate::{
    accounts::{self, Database, DatabaseError, Limits, Location, OpenError, Users},
    auth::random,
    config::Settings,
};

mod new;

pub(super) use new::NewDatabase;

/// How long a migration that runs elsewhere is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Opens the database, and creates it if it is missing.
pub(super) async fn open(settings: &Settings, limits: Limits) -> Result<Database, CliError> {
    accounts::open(settings.database_url.as_str(), limits)
        .await
        .map_err(unopened)
}

/// Opens the database, or returns `None` where the file of SQLite is missing.
pub(super) async fn open_existing(
    settings: &Settings,
    limits: Limits,
) -> Result<Option<Database>, CliError> {
    match missing(settings)? {
        Some(_) => Ok(None),
        None => open(settings, limits).await.map(Some),
    }
}

/// The same, for commands that read accounts.
async fn open_to_read(settings: &Settings, limits: Limits) -> Result<Option<Database>, CliError> {
    if missing(settings)?.is_some() {
        return Ok(None);
    }
    let db = accounts::open_to_read(settings.database_url.as_str(), limits).await;
    db.map(Some).map_err(unopened)
}

/// The same, for commands that write to no file at all.
pub(super) async fn open_read_only(
    settings: &Settings,
    limits: Limits,
) -> Result<Option<Database>, CliError> {
    if missing(settings)?.is_some() {
        return Ok(None);
    }
    let db = accounts::open_read_only(settings.database_url.as_str(), limits).await;
    db.map(Some).map_err(unopened)
}

/// The path of the database, if it is a file that does not exist.
pub(super) fn missing(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    match location(settings)? {
        Location::File(path) if !path.exists() => Ok(Some(path)),
        _ => Ok(None),
    }
}

fn location(settings: &Settings) -> Result<Location, CliError> {
    settings.database_location().map_err(unopened)
}

/// The accounts of the service. Creates the database if it is missing, and applies every pending migration.
pub(super) async fn users(settings: &Settings, limits: Limits) -> Result<Users, CliError> {
    let missing = missing(settings)?;
    let db = open(settings, limits).await?;
    // Before the migrations, so that the file is known from its opening on.
    let users = Users::new(db.clone(), limits);
    migrate(&db).await?;
    if let Some(path) = missing {
        log_created(&path);
    }
    Ok(users)
}

/// The accounts, where no migration is pending.
pub(super) async fn users_of_current(
    settings: &Settings,
    limits: Limits,
) -> Result<Users, CliError> {
    let db = open_existing(settings, limits).await?;
    let standing = standing(db.as_ref()).await?;
    standing.check().map_err(failed)?;
    match db {
        Some(db) if standing.pending.is_empty() => Ok(Users::new(db, limits)),
        _ => Err(format!(
            "migrations are pending ({}): run `signet migrate`, or start without --no-migrate",
            standing.pending.join(", ")
        )
        .into()),
    }
}

/// What a command does with the accounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Change,
}

/// The accounts of an existing database, for a command. A command applies no migration, since a new one could lock out older replicas.
pub(super) async fn existing_users(settings: &Settings, access: Access) -> Result<Users, CliError> {
    let limits = settings.database_limits();
    refuse_memory(settings)?;
    let db = match access {
        Access::Read => open_to_read(settings, limits).await?,
        Access::Change => open_existing(settings, limits).await?,
    };
    let Some(db) = db else {
        return Err(no_database(settings));
    };
    let standing = standing(Some(&db)).await?;
    standing.check().map_err(failed)?;
    if standing.pending.is_empty() {
        Ok(Users::new(db, limits))
    } else {
        Err(pending(&standing))
    }
}

/// The accounts, for a command that writes the first one. Creates the database if it is missing.
pub(super) async fn users_to_fill(settings: &Settings) -> Result<Users, CliError> {
    let limits = settings.database_limits();
    refuse_memory(settings)?;
    let missing = missing(settings)?;
    let db = open(settings, limits).await?;
    let users = Users::new(db.clone(), limits);
    if is_without_accounts(&db, &users).await? {
        migrate(&db).await?;
    }
    if let Some(path) = missing {
        log_created(&path);
    }
    Ok(users)
}

/// The database of an import, which may turn out to write nothing.
#[derive(Default)]
pub(super) struct Destination {
    /// A database that is published after the import.
    new: Option<NewDatabase>,
    /// An existing database without accounts, whose migrations are pending.
    unmigrated: Option<Database>,
}

impl Destination {
    /// Makes the database ready for the first account.
    pub(super) async fn prepare(&mut self) -> Result<(), CliError> {
        if let Some(db) = self.unmigrated.take() {
            migrate(&db).await?;
        }
        Ok(())
    }

    /// Publishes a new database.
    pub(super) async fn publish(&mut self, users: &Users) -> Result<(), CliError> {
        match self.new.take() {
            Some(new) => new.publish(users).await,
            None => Ok(()),
        }
    }
}

/// The accounts, for an import.
pub(super) async fn users_to_import(settings: &Settings) -> Result<(Users, Destination), CliError> {
    refuse_memory(settings)?;
    let limits = settings.database_limits();
    let Some(path) = missing(settings)? else {
        let db = open(settings, limits).await?;
        let users = Users::new(db.clone(), limits);
        let is_unmigrated = is_without_accounts(&db, &users).await?;
        let unmigrated = is_unmigrated.then_some(db);
        return Ok((
            users,
            Destination {
                unmigrated,
                new: None,
            },
        ));
    };
    let new =
        NewDatabase::create(&path).map_err(|source| unopened(OpenError::Make { path, source }))?;
    let db = accounts::open(&new.url(), limits).await.map_err(unopened)?;
    migrate(&db).await?;
    let new = Some(new);
    Ok((
        Users::new(db, limits),
        Destination {
            new,
            unmigrated: None,
        },
    ))
}

/// Whether migrations are pending in a database without accounts. Fails if they are pending in another one.
async fn is_without_accounts(db: &Database, users: &Users) -> Result<bool, CliError> {
    let before = standing(Some(db)).await?;
    before.check().map_err(failed)?;
    if before.pending.is_empty() {
        return Ok(false);
    }
    // Another process that creates the database may be in the middle of its migrations.
    if before.applied.is_empty() || users.count().await.map_err(unreadable)? == 0 {
        return Ok(true);
    }
    let now = standing(Some(db)).await?;
    if now.pending.is_empty() {
        Ok(false)
    } else {
        Err(pending(&now))
    }
}

fn unreadable(error: DatabaseError) -> CliError {
    failed(error.into())
}

/// Logs where the new database is.
pub(super) fn log_created(path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    info!(path = %path.display(), "database created");
}

fn refuse_memory(settings: &Settings) -> Result<(), CliError> {
    match location(settings)? {
        Location::Memory => Err(
            "the database of SIGNET_DATABASE_URL is in memory, and this command would end with it; name a file, such as \
             sqlite:data/signet.db, or PostgreSQL"
                .into(),
        ),
        _ => Ok(()),
    }
}

fn no_database(settings: &Settings) -> CliError {
    let path = match location(settings) {
        Ok(Location::File(path)) => std::path::absolute(&path).unwrap_or(path),
        _ => PathBuf::new(),
    };
    format!(
        "no database at {}; run \"signet migrate\" or set SIGNET_DATABASE_URL",
        path.display()
    )
    .into()
}

fn pending(standing: &Standing) -> CliError {
    format!(
        "migrations are pending ({}); run \"signet migrate\"",
        standing.pending.join(", ")
    )
    .into()
}

/// The accounts for a trial, which writes nothing: those of the database, or none where there is no database.
pub(super) async fn users_to_try(settings: &Settings) -> Result<Users, CliError> {
    let limits = settings.database_limits();
    let location = location(settings)?;
    if missing(settings)?.is_none() && location != Location::Memory {
        let url = settings.database_url.as_str();
        let db = match location {
            // The transaction is rolled back, and the journal mode stays.
            Location::File(_) => accounts::open_to_read(url, limits).await,
            _ => accounts::open(url, limits).await,
        };
        let db = db.map_err(unopened)?;
        let standing = standing(Some(&db)).await?;
        if !standing.applied.is_empty() {
            standing.check().map_err(failed)?;
            return if standing.pending.is_empty() {
                Ok(Users::new(db, limits))
            } else {
                Err(pending(&standing))
            };
        }
    }
    let db = accounts::open("sqlite::memory:", limits).await;
    let db = db.map_err(unopened)?;
    migrate(&db).await?;
    Ok(Users::new(db, limits))
}

/// Applies every pending migration, or waits until another process that is at it has. Returns what was applied here.
pub(super) async fn migrate(db: &Database) -> Result<Vec<String>, CliError> {
    let applied = migration::apply(db, &random::hex::<8>(), PATIENCE).await;
    applied.map_err(failed)
}

/// Takes back the newest migration, and returns its name.
pub(super) async fn step_back(db: &Database) -> Result<Option<String>, CliError> {
    let taken_back = migration::step_back(db, &random::hex::<8>(), PATIENCE).await;
    taken_back.map_err(failed)
}

/// Which migrations are applied.
pub(super) async fn standing(db: Option<&Database>) -> Result<Standing, CliError> {
    let standing = match db {
        Some(db) => migration::standing(db).await,
        None => Ok(Standing::of_nothing()),
    };
    standing.map_err(|error| failed(error.into()))
}

fn failed(error: migration::Error) -> CliError {
    let advice = match &error {
        migration::Error::Database(error) => advice(error),
        _ => "",
    };
    format!("the database cannot be brought up to date: {error}{advice}").into()
}

fn advice(error: &DatabaseError) -> &'static str {
    match accounts::advice(error) {
        "" => ". Is it another program's database?",
        advice => advice,
    }
}

pub(super) fn unopened(error: OpenError) -> CliError {
    format!("the database of SIGNET_DATABASE_URL cannot be used: {error}").into()
}
