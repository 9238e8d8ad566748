//! `signet database`, and the functions with which all commands open the database and apply migrations.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use migration::MigrationStatus;
use tracing::info;

use super::error::CliError;
use crate::{
    accounts::{self, Access, AccountStore, Database, DatabaseError, DatabaseUrl, Limits},
    config::Settings,
    problem::Problem,
};

mod backup;
mod check;
mod contents;
mod copy;
mod maintenance;
mod new;

pub(super) use new::{NewDatabase, log_created};

/// The commands for whole databases.
#[derive(Subcommand)]
pub(super) enum DatabaseCommand {
    /// Copy the data to another database: accounts, retired IDs, rate limits, published keys and issuers
    Copy(copy::Copy),
    /// Write a backup of a SQLite database into a new file, also while the service runs
    Backup(backup::Backup),
    /// Reject changes of accounts until the maintenance ends, by all replicas and commands
    Maintenance(maintenance::Maintenance),
    /// Check the database for damage, and count its rows
    Check(check::Check),
}

impl DatabaseCommand {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Copy(command) => command.run(settings).await,
            Self::Backup(command) => command.run(settings).await,
            Self::Maintenance(command) => command.run(settings).await,
            Self::Check(command) => command.run(settings).await,
        }
    }
}

/// How long to wait for another process that applies migrations.
const WAIT_FOR_MIGRATION: Duration = Duration::from_mins(1);

/// How to encrypt the connection to PostgreSQL.
pub(super) const TLS_HINT: &str = "set the options of the URL: postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=/path/ca.pem";

/// Opens the database, and creates it if it is missing.
pub(super) async fn open(settings: &Settings, limits: Limits) -> Result<Database, CliError> {
    accounts::open(settings.database_url.as_str(), limits)
        .await
        .map_err(unopened)
}

/// Opens the database. Returns `None` if the file of SQLite is missing.
pub(super) async fn open_existing(
    settings: &Settings,
    limits: Limits,
    access: Access,
) -> Result<Option<Database>, CliError> {
    if missing(settings)?.is_some() {
        return Ok(None);
    }
    let db = accounts::open_with(settings.database_url.as_str(), limits, access).await;
    db.map(Some).map_err(unopened)
}

/// Returns the path of the database if it is a file that does not exist.
pub(super) fn missing(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    match location(settings)? {
        DatabaseUrl::File(path) if !path.exists() => Ok(Some(path)),
        _ => Ok(None),
    }
}

/// Returns where the database is.
pub(super) fn location(settings: &Settings) -> Result<DatabaseUrl, CliError> {
    let location = settings.database_location();
    location.map_err(|error| unopened(error).of_settings())
}

/// Returns the accounts for the service. Creates the database if it is missing, and applies every pending migration.
pub(super) async fn open_for_service(
    settings: &Settings,
    limits: Limits,
) -> Result<AccountStore, CliError> {
    let missing = missing(settings)?;
    let db = open(settings, limits).await?;
    // Before the migrations, so that a replaced file is noticed from the start.
    let accounts = AccountStore::new(db.clone(), limits);
    migrate(&db).await?;
    if let Some(path) = missing {
        log_created(&path);
    }
    Ok(accounts)
}

/// Returns the accounts for the service. Fails if migrations are pending.
pub(super) async fn open_migrated(
    settings: &Settings,
    limits: Limits,
) -> Result<AccountStore, CliError> {
    let db = open_existing(settings, limits, Access::Write).await?;
    let status = migration_status(db.as_ref()).await?;
    status.check().map_err(failed)?;
    match db {
        Some(db) if status.pending.is_empty() => Ok(AccountStore::new(db, limits)),
        _ => Err(pending(&status).hint("run `signet migrate`, or start without --no-migrate")),
    }
}

/// Returns the accounts for a command. A command applies no migrations, because a new migration could lock out older replicas.
pub(super) async fn open_accounts(
    settings: &Settings,
    access: Access,
) -> Result<AccountStore, CliError> {
    let db = existing(settings, access).await?;
    current(db, settings.database_limits()).await
}

/// Opens the database for a command that does not create it.
async fn existing(settings: &Settings, access: Access) -> Result<Database, CliError> {
    refuse_memory(settings)?;
    let db = open_existing(settings, settings.database_limits(), access).await?;
    db.ok_or_else(|| no_database(settings))
}

/// Returns the accounts of `db`. Fails if migrations are pending.
async fn current(db: Database, limits: Limits) -> Result<AccountStore, CliError> {
    let status = migration_status(Some(&db)).await?;
    status.check().map_err(failed)?;
    if status.pending.is_empty() {
        Ok(AccountStore::new(db, limits))
    } else {
        Err(pending(&status))
    }
}

/// Returns the accounts for a command that may add the first account. Creates the database if it is missing.
pub(super) async fn open_or_create(settings: &Settings) -> Result<AccountStore, CliError> {
    let limits = settings.database_limits();
    refuse_memory(settings)?;
    let missing = missing(settings)?;
    let db = open(settings, limits).await?;
    let accounts = AccountStore::new(db.clone(), limits);
    if is_without_accounts(&db, &accounts).await? {
        migrate(&db).await?;
    }
    if let Some(path) = missing {
        log_created(&path);
    }
    Ok(accounts)
}

/// The database of an import. The import may write no account.
#[derive(Default)]
pub(super) struct Destination {
    /// A database that is published after the import.
    new: Option<NewDatabase>,
    /// An existing database without accounts, whose migrations are pending.
    unmigrated: Option<Database>,
}

impl Destination {
    /// Applies the migrations before the first account is written.
    pub(super) async fn prepare(&mut self) -> Result<(), CliError> {
        if let Some(db) = self.unmigrated.take() {
            migrate(&db).await?;
        }
        Ok(())
    }

    /// Publishes a new database.
    pub(super) async fn publish(&mut self, accounts: &AccountStore) -> Result<(), CliError> {
        match self.new.take() {
            Some(new) => new.publish(accounts).await,
            None => Ok(()),
        }
    }
}

/// Returns the accounts for an import.
pub(super) async fn open_for_import(
    settings: &Settings,
) -> Result<(AccountStore, Destination), CliError> {
    refuse_memory(settings)?;
    let limits = settings.database_limits();
    let mut destination = Destination::default();
    let accounts = if let Some(path) = missing(settings)? {
        let new = NewDatabase::create(&path)
            .map_err(|error| unopened(accounts::uncreated(&path, &error)))?;
        let db = accounts::open(&new.url(), limits).await.map_err(unopened)?;
        migrate(&db).await?;
        destination.new = Some(new);
        AccountStore::new(db, limits)
    } else {
        let db = open(settings, limits).await?;
        let accounts = AccountStore::new(db.clone(), limits);
        let is_unmigrated = is_without_accounts(&db, &accounts).await?;
        destination.unmigrated = is_unmigrated.then_some(db);
        accounts
    };
    Ok((accounts, destination))
}

/// Returns whether migrations are pending in a database without accounts. Fails if migrations are pending in a database with accounts.
async fn is_without_accounts(db: &Database, accounts: &AccountStore) -> Result<bool, CliError> {
    let before = migration_status(Some(db)).await?;
    before.check().map_err(failed)?;
    if before.pending.is_empty() {
        return Ok(false);
    }
    let unreadable = |error: DatabaseError| failed(error.into());
    if before.applied.is_empty() || accounts.count().await.map_err(unreadable)? == 0 {
        return Ok(true);
    }
    // Another process may have been applying the migrations of a new database.
    let now = migration_status(Some(db)).await?;
    if now.pending.is_empty() {
        Ok(false)
    } else {
        Err(pending(&now))
    }
}

fn refuse_memory(settings: &Settings) -> Result<(), CliError> {
    match location(settings)? {
        DatabaseUrl::Memory => Err(CliError::from(
            "the database in SIGNET_DATABASE_URL is in memory: all changes would be lost at the end of this command",
        )
        .hint("use a file, such as sqlite:data/signet.db, or PostgreSQL")),
        _ => Ok(()),
    }
}

fn no_database(settings: &Settings) -> CliError {
    let path = match location(settings) {
        Ok(DatabaseUrl::File(path)) => std::path::absolute(&path).unwrap_or(path),
        _ => PathBuf::new(),
    };
    CliError::from(format!("no database at {}", path.display()))
        .hint("run `signet migrate`, or set SIGNET_DATABASE_URL")
}

fn pending(status: &MigrationStatus) -> CliError {
    CliError::from(format!(
        "migrations are pending: {}",
        status.pending.join(", ")
    ))
    .hint("run `signet migrate`")
}

/// Returns the accounts for a dry run, which writes nothing. Without a database, there are no accounts.
pub(super) async fn open_for_dry_run(settings: &Settings) -> Result<AccountStore, CliError> {
    let limits = settings.database_limits();
    let access = match location(settings)? {
        DatabaseUrl::Memory => None,
        // The dry run rolls its transaction back. The journal mode of the file stays as it is.
        DatabaseUrl::File(_) => Some(Access::Read),
        DatabaseUrl::Postgres(_) => Some(Access::Write),
    };
    if let Some(access) = access
        && let Some(db) = open_existing(settings, limits, access).await?
        && !migration_status(Some(&db)).await?.applied.is_empty()
    {
        return current(db, limits).await;
    }
    let db = accounts::open("sqlite::memory:", limits).await;
    let db = db.map_err(unopened)?;
    migrate(&db).await?;
    Ok(AccountStore::new(db, limits))
}

/// Applies every pending migration, or waits for another process that applies them. Returns the migrations that this process applied.
pub(super) async fn migrate(db: &Database) -> Result<Vec<String>, CliError> {
    let applied = migration::apply(db, WAIT_FOR_MIGRATION).await;
    let applied = applied.map_err(failed)?;
    if !applied.is_empty() {
        info!(migrations = applied.join(", "), "migrations applied");
    }
    Ok(applied)
}

/// Reverts the newest migration, and returns its name.
pub(super) async fn step_back(db: &Database) -> Result<Option<String>, CliError> {
    let reverted = migration::step_back(db, WAIT_FOR_MIGRATION).await;
    let reverted = reverted.map_err(failed)?;
    if let Some(migration) = &reverted {
        info!(migration, "migration reverted");
    }
    Ok(reverted)
}

/// Returns which migrations are applied. No database has no migrations.
pub(super) async fn migration_status(db: Option<&Database>) -> Result<MigrationStatus, CliError> {
    let status = match db {
        Some(db) => migration::status(db).await,
        None => Ok(MigrationStatus::empty()),
    };
    status.map_err(|error| failed(error.into()))
}

fn failed(error: migration::Error) -> CliError {
    let hint = match &error {
        migration::Error::Database(error) => accounts::operator_hint(error).or(Some(
            "check that the database belongs to signet and not to another program",
        )),
        other => other.hint(),
    };
    CliError::from(format!("cannot migrate the database: {error}")).hint_option(hint)
}

/// Returns the message about a database that does not open.
pub(super) fn unopened(problem: Problem) -> CliError {
    unopened_from("SIGNET_DATABASE_URL", problem)
}

/// Returns the message about a database that does not open. The URL is from this setting or flag.
fn unopened_from(name: &str, problem: Problem) -> CliError {
    CliError::from(problem).in_context(&format!("cannot use the database in {name}"))
}
