//! Opens the database of the settings, and brings it up to date.

use std::time::Duration;

use migration::Standing;

use super::Failure;
use crate::{
    auth::random,
    config::Settings,
    users::{self, Database, DatabaseError, Limits, Location, OpenError, Users},
};

/// How long a migration that runs elsewhere is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The database, made if it is missing.
pub(super) async fn open(settings: &Settings, limits: Limits) -> Result<Database, Failure> {
    users::open(settings.database_url.as_str(), limits)
        .await
        .map_err(unopened)
}

/// The database, or none where opening it would make it.
pub(super) async fn open_existing(
    settings: &Settings,
    limits: Limits,
) -> Result<Option<Database>, Failure> {
    match Location::of(settings.database_url.as_str()).map_err(unopened)? {
        Location::File(path) if !path.exists() => Ok(None),
        _ => open(settings, limits).await.map(Some),
    }
}

/// The accounts, after every migration that was pending.
pub(super) async fn users(settings: &Settings, limits: Limits) -> Result<Users, Failure> {
    let db = open(settings, limits).await?;
    migrate(&db).await?;
    Ok(Users::new(db, limits))
}

/// The accounts, where no migration is pending.
pub(super) async fn users_of_current(
    settings: &Settings,
    limits: Limits,
) -> Result<Users, Failure> {
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

/// The accounts, after every migration that was pending; or where there is no database yet, in one that is
/// never written down.
pub(super) async fn users_or_none(settings: &Settings) -> Result<Users, Failure> {
    let limits = limits(settings);
    let db = match open_existing(settings, limits).await? {
        Some(db) => db,
        None => users::open("sqlite::memory:", limits)
            .await
            .map_err(unopened)?,
    };
    migrate(&db).await?;
    Ok(Users::new(db, limits))
}

/// Applies every pending migration, or waits until another process that is at it has. Returns what was applied here.
pub(super) async fn migrate(db: &Database) -> Result<Vec<String>, Failure> {
    let applied = migration::apply(db, &random::hex::<8>(), PATIENCE).await;
    applied.map_err(failed)
}

/// Takes back the newest migration, and returns its name.
pub(super) async fn step_back(db: &Database) -> Result<Option<String>, Failure> {
    let taken_back = migration::step_back(db, &random::hex::<8>(), PATIENCE).await;
    taken_back.map_err(failed)
}

/// Which migrations are applied.
pub(super) async fn standing(db: Option<&Database>) -> Result<Standing, Failure> {
    let standing = match db {
        Some(db) => migration::standing(db).await,
        None => Ok(Standing::of_nothing()),
    };
    standing.map_err(|error| failed(error.into()))
}

/// What a command may take of the database.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        connections: settings.database_connections,
        wait: settings.database_wait.duration(),
        hurried: false,
    }
}

fn failed(error: migration::Error) -> Failure {
    let advice = match &error {
        migration::Error::Database(error) => advice(error),
        _ => "",
    };
    format!("the database cannot be brought up to date: {error}{advice}").into()
}

fn advice(error: &DatabaseError) -> &'static str {
    match users::advice(error) {
        "" => ". Is it another program's database?",
        advice => advice,
    }
}

pub(super) fn unopened(error: OpenError) -> Failure {
    format!("the database of SIGNET_DATABASE_URL cannot be used: {error}").into()
}
