//! Opens a database.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, sqlx::sqlite::SqliteJournalMode};
use tokio::time::{Instant, sleep};

use super::{error::unopened, limits::Limits, postgres, sqlite, url::DatabaseUrl};
use crate::problem::Problem;

/// The rows that the thread of SQLite sends before it waits for the receiver. A batch of the account loader has at most 64 rows. With
/// the default of 50 rows, the thread would wait for the receiver after each further row.
const ROW_BUFFER: usize = 128;

/// The operations that a connection allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes. Creates a missing SQLite file and its folder.
    Write,
    /// Reads. SQLite may create the files of its write-ahead log, and removes them.
    Read,
    /// Reads, and writes to no file. If no process has the database open, no process may change it meanwhile.
    ReadOnly,
}

/// Opens the database at `url` to read and write. Creates a missing SQLite file and its folder.
///
/// # Errors
/// When the URL is invalid, or the database does not open.
pub async fn open(url: &str, limits: Limits) -> Result<DatabaseConnection, Problem> {
    open_with(url, limits, Access::Write).await
}

/// Opens the database at `url`.
///
/// # Errors
/// When the URL is invalid, or the database does not open.
pub async fn open_with(
    url: &str,
    limits: Limits,
    access: Access,
) -> Result<DatabaseConnection, Problem> {
    let database = DatabaseUrl::parse(url)?;
    if let DatabaseUrl::Postgres(host) = database {
        let what = format!("PostgreSQL at {}", host.as_deref().unwrap_or("its socket"));
        return postgres::open(url, limits, what, access != Access::Write).await;
    }
    let wait = limits.wait;
    let mut options = ConnectOptions::new(match database {
        // sqlx might read the name of a file as a database in memory.
        DatabaseUrl::Memory => "sqlite::memory:",
        _ => url,
    });
    options
        .sqlx_logging(false)
        .acquire_timeout(wait)
        .connect_timeout(wait);
    let mut is_immutable = false;
    let what = if let DatabaseUrl::File(path) = database {
        if access == Access::Write {
            sqlite::create_file(&path)?;
        }
        // A reader of a closed write-ahead log would create the files of the log.
        is_immutable = access == Access::ReadOnly && sqlite::is_closed_log(&path);
        sqlite::configure_file_pool(&mut options, limits.connections.get(), path.clone());
        path.display().to_string()
    } else {
        // The database exists as long as its only connection.
        options
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None::<Duration>)
            .max_lifetime(None::<Duration>);
        "the database in memory".to_owned()
    };
    options.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite.busy_timeout(wait).row_buffer_size(ROW_BUFFER);
        // The file exists by now. If the file is removed later, a new connection must not create another file.
        let sqlite = sqlite.create_if_missing(false);
        match access {
            // Readers do not wait for the writer.
            Access::Write => sqlite.journal_mode(SqliteJournalMode::Wal),
            Access::Read => sqlite,
            Access::ReadOnly => sqlite.read_only(true).immutable(is_immutable),
        }
    });
    let deadline = Instant::now() + wait;
    loop {
        match Database::connect(options.clone()).await {
            // If two processes initialize a new file, SQLite rejects one of them without waiting.
            Err(error) if migration::is_contention(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            connected => return connected.map_err(|error| unopened(&what, &error)),
        }
    }
}
