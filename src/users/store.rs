//! Opens the database: where it is, and how it is connected to.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, sqlx};
use tokio::time::{Instant, sleep};

/// How long a query waits for a connection, and a connection for another writer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where a database URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// SQLite, in the memory of this process.
    Memory,
    /// SQLite, in a file.
    File(PathBuf),
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store that this build has. The URL itself may hold a password.
    #[error(
        "its scheme is not one of this build: write sqlite:PATH, such as sqlite:data/signet.db"
    )]
    Scheme,
    /// The file or its folder could not be made.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("cannot open {what}: {source}{}", advice(source))]
    Connect {
        /// What was to be opened.
        what: String,
        /// What the driver says.
        source: DbErr,
    },
}

impl Location {
    /// Reads a database URL.
    ///
    /// # Errors
    /// When its scheme is unknown.
    pub fn of(url: &str) -> Result<Self, OpenError> {
        let rest = url.strip_prefix("sqlite:").ok_or(OpenError::Scheme)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path == ":memory:" || query.split('&').any(|pair| pair == "mode=memory") {
            Ok(Self::Memory)
        } else if path.is_empty() {
            Err(OpenError::Scheme)
        } else {
            // As the driver reads it.
            let path = percent_decode_str(path).decode_utf8_lossy();
            Ok(Self::File(path.into_owned().into()))
        }
    }
}

/// Opens the database at `url`, and makes a SQLite file and its folder where they are missing.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open(url: &str) -> Result<DatabaseConnection, OpenError> {
    open_with(url, PATIENCE).await
}

/// The same, with another patience towards another writer.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open_with(url: &str, patience: Duration) -> Result<DatabaseConnection, OpenError> {
    let location = Location::of(url)?;
    let mut options = ConnectOptions::new(url);
    options
        .sqlx_logging(false)
        .acquire_timeout(PATIENCE)
        .connect_timeout(PATIENCE);
    let what = match &location {
        Location::Memory => {
            // The database lives as long as its one connection.
            options
                .max_connections(1)
                .min_connections(1)
                .idle_timeout(None::<Duration>)
                .max_lifetime(None::<Duration>);
            "the database in memory".to_owned()
        }
        Location::File(path) => {
            make_file(path)?;
            options.max_connections(8);
            path.display().to_string()
        }
    };
    options.map_sqlx_sqlite_opts(move |sqlite| {
        use sqlx::sqlite::SqliteJournalMode;
        sqlite
            .create_if_missing(true)
            // Readers do not wait for the writer.
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(patience)
    });
    let deadline = Instant::now() + patience;
    loop {
        match Database::connect(options.clone()).await {
            // Of two that make a new file ready at once, SQLite refuses one without waiting.
            Err(error) if sqlite_code(&error) == Some(BUSY) && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            connected => return connected.map_err(|source| OpenError::Connect { what, source }),
        }
    }
}

/// Whether the database may well answer the same query in a moment: it cannot be reached, is locked by
/// another writer, or cannot write for want of room or rights, which an operator will see to.
#[must_use]
pub fn is_temporary(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        _ => matches!(
            sqlite_code(error),
            Some(BUSY | LOCKED | READ_ONLY | IO | FULL | CANNOT_OPEN)
        ),
    }
}

/// What an operator can do about a database that does not open, or does not do what it is asked.
pub(super) fn advice(error: &DbErr) -> &'static str {
    match sqlite_code(error) {
        Some(FULL | IO) => {
            ". Is there room on its disk? Nothing was lost: make some, and try again"
        }
        Some(READ_ONLY | CANNOT_OPEN) => {
            ". The file and its folder must be writable, even to be read: SQLite keeps files beside it"
        }
        Some(BUSY | LOCKED) => ". Another process holds it: try again",
        None if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) => {
            ". Is it there, and does it let this user in?"
        }
        _ => "",
    }
}

/// Whether there was no room for a row: on the disk, or for its id.
pub(super) fn is_full(error: &DbErr) -> bool {
    sqlite_code(error) == Some(FULL)
}

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO: i32 = 10;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;

/// The primary result code (<https://www.sqlite.org/rescode.html>).
fn sqlite_code(error: &DbErr) -> Option<i32> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Makes what is missing, for its owner's eyes only: hashes are nobody else's affair.
fn make_file(database: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Make { path, source }
    };
    if let Some(folder) = database
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed(folder))?;
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(database)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn a_url_points_somewhere() {
        assert_eq!(Location::of("sqlite::memory:").unwrap(), Location::Memory);
        assert_eq!(
            Location::of("sqlite://x?mode=memory").unwrap(),
            Location::Memory
        );
        assert_eq!(
            Location::of("sqlite:my%20data/a.db").unwrap(),
            Location::File("my data/a.db".into())
        );
        for url in [
            "sqlite:data/a.db",
            "sqlite://data/a.db",
            "sqlite:data/a.db?mode=rwc",
        ] {
            assert_eq!(
                Location::of(url).unwrap(),
                Location::File("data/a.db".into())
            );
        }
        assert_eq!(
            Location::of("sqlite:///var/a.db").unwrap(),
            Location::File("/var/a.db".into())
        );
        for url in ["", "sqlite:", "mysql://root:secret@db/x", "data/a.db"] {
            let error = Location::of(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
