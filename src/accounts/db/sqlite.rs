//! The file of a SQLite database.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf, absolute},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use rustix::process::{Flock, FlockType, fcntl_getlk};
use sea_orm::{ConnectOptions, DatabaseConnection, DbBackend, sqlx};

use crate::problem::Problem;

/// The largest number of connections to a file. Each connection costs a thread and 0.5 MiB. More connections are not faster, because a
/// query takes microseconds and SQLite has one writer at a time.
const MAX_CONNECTIONS: u32 = 4;

/// Sets the number of connections to a file. Rejects a new connection if the path no longer leads to the file of the first
/// connection, so that a pool never uses two files.
pub(super) fn configure_file_pool(options: &mut ConnectOptions, connections: u32, path: PathBuf) {
    options
        .max_connections(connections.min(MAX_CONNECTIONS))
        // The database is in this process. A test of the connection would cost as much as a query.
        .test_before_acquire(false);
    let file = Arc::new(OnceLock::new());
    options.map_sqlx_sqlite_pool_opts(move |pool| {
        let (file, path) = (Arc::clone(&file), path.clone());
        pool.after_connect(move |_, _| {
            let file = file.get_or_init(|| DatabaseFile::at(&path));
            let checked = file.check().map_err(sqlx::Error::config);
            Box::pin(async { checked })
        })
    });
}

/// Returns whether the database has a write-ahead log and no process has the database open. The last process deletes the log.
pub(super) fn is_closed_log(path: &Path) -> bool {
    // The version of the file format, which is 2 with a write-ahead log (sqlite.org/fileformat.html section 1.3.3).
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18] == 2 && !beside(path, "-wal").exists()
}

/// Returns the path of a file that SQLite creates next to the database. SQLite resolves symbolic links.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let path = database.canonicalize();
    let mut path = path
        .unwrap_or_else(|_| database.to_owned())
        .into_os_string();
    path.push(suffix);
    path.into()
}

/// Returns whether another process has a database with a write-ahead log open. Call this before this process opens the database: the
/// result does not include this process, and closing the file would release its locks.
#[must_use]
pub fn is_file_in_use(path: &Path) -> bool {
    // Each process holds a shared lock of this byte (`UNIX_SHM_DMS` in os_unix.c of SQLite).
    const LOCKED_BYTE: u64 = 128;
    let lock = Flock {
        start: LOCKED_BYTE,
        length: 1,
        ..Flock::from(FlockType::WriteLock)
    };
    File::open(beside(path, "-shm"))
        .is_ok_and(|index| matches!(fcntl_getlk(index, &lock), Ok(Some(_))))
}

/// Creates a missing file and its folder. Only the owner can read them, because the file contains password hashes.
pub(super) fn create_file(database: &Path) -> Result<(), Problem> {
    if let Some(folder) = database
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| uncreated(folder, &error))?;
    }
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match created {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(uncreated(database, &error)),
        _ => Ok(()),
    }
}

/// Returns the error of a file or folder that was not created.
#[must_use]
pub fn uncreated(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot create {}: {error}", path.display()))
        .hint("create the folder with write permission for this user, or use another path")
}

/// The file of a SQLite database, identified when it was opened.
///
/// If the file is replaced, an open connection stays on the old file, and a new connection opens the new file. Without a check, the
/// service would ignore the changes of commands, or use both files at the same time.
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
    /// A new file may get the inode of a deleted file. `None` if the file system does not store this time.
    created: Option<SystemTime>,
}

impl DatabaseFile {
    /// Returns the file of a SQLite database, or `None` for a database in memory and for PostgreSQL.
    pub(super) fn of(db: &DatabaseConnection) -> Option<Self> {
        if db.get_database_backend() != DbBackend::Sqlite {
            return None;
        }
        let options = db.get_sqlite_connection_pool().connect_options();
        let path = options.get_filename();
        // The driver's name for a database in memory. `DatabaseUrl` rejects a path that begins like this.
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
    pub(super) fn check(&self) -> Result<(), Problem> {
        let path = self.path.display();
        match Identity::of(&self.path) {
            Ok(now) if self.identity.as_ref() == Some(&now) => Ok(()),
            Err(error) if !is_missing(&error) => Err(Problem::new(format!(
                "cannot check the database file {path}: {error}"
            ))),
            _ => Err(Problem::new(format!(
                "the database file {path} was replaced or removed after this process opened it: restart the service"
            ))),
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
