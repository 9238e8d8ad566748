//! Opens the database: where it is, and how it is connected to.

use std::{path::PathBuf, time::Duration};

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// How long a query waits for a connection, and a connection for another writer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// The folder of the file could not be made.
    #[error("cannot make the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("cannot open {what}: {source}")]
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
            Ok(Self::File(path.into()))
        }
    }
}

/// Opens the database at `url`, and makes a SQLite file and its folder where they are missing.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open(url: &str) -> Result<DatabaseConnection, OpenError> {
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
            make_folder(path)?;
            options.max_connections(8);
            path.display().to_string()
        }
    };
    options.map_sqlx_sqlite_opts(|sqlite| {
        use sea_orm::sqlx::sqlite::SqliteJournalMode;
        sqlite
            .create_if_missing(true)
            // Readers do not wait for the writer.
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(PATIENCE)
    });
    Database::connect(options)
        .await
        .map_err(|source| OpenError::Connect { what, source })
}

/// Whether the database may well answer the same query in a moment.
#[must_use]
pub const fn is_temporary(error: &DbErr) -> bool {
    matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_))
}

fn make_folder(database: &std::path::Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = database
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
    else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| OpenError::Folder {
            path: folder.to_owned(),
            source,
        })
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
