//! Detects that the file of a SQLite database was replaced.
//!
//! An open connection stays on the old file, and a new connection opens the new file. Without a check, the service would ignore
//! the changes of commands, or use both files at the same time.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf, absolute},
    time::SystemTime,
};

use sea_orm::{DatabaseConnection, DbBackend};

/// The file of a SQLite database, as it was when it was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// `None` if the path led to no file.
    identity: Option<Identity>,
}

/// Identifies a file.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// A new file may get the inode of a deleted file. Some file systems store no such time.
    created: Option<SystemTime>,
}

/// Why a database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another file has the path, or no file.
    #[error(
        "the database file {} was replaced or removed after this process opened it: restart the service", .0.display()
    )]
    Replaced(PathBuf),
    /// The system does not say which file has the path.
    #[error("cannot check the database file {}: {source}", path.display())]
    Unknown {
        /// The path of the database.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl DatabaseFile {
    /// Returns the file of a SQLite database, or `None` for a database in memory and for PostgreSQL.
    pub(super) fn of(db: &DatabaseConnection) -> Option<Self> {
        if db.get_database_backend() != DbBackend::Sqlite {
            return None;
        }
        let options = db.get_sqlite_connection_pool().connect_options();
        let path = options.get_filename();
        // The driver's name for a database in memory. The path of a file never begins like this, see `Location`.
        let is_in_memory = path.to_string_lossy().starts_with("file:");
        (!is_in_memory).then(|| Self::at(path))
    }

    /// Returns the file that has this path now.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: Identity::of(path).ok(),
        }
    }

    /// Checks that the path still leads to the file that was opened.
    pub(super) fn check(&self) -> Result<(), FileError> {
        let path = || self.path.clone();
        match Identity::of(&self.path) {
            Ok(now) if self.identity.as_ref() == Some(&now) => Ok(()),
            Err(source) if !is_missing(&source) => Err(FileError::Unknown {
                path: path(),
                source,
            }),
            _ => Err(FileError::Replaced(path())),
        }
    }
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        // Never opens the file: to close it again would release the locks of SQLite, which belong to the process.
        let file = fs::metadata(path)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            created: file.created().ok(),
        })
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
