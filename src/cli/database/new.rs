//! A new SQLite database that gets its path when it is complete.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use tempfile::{Builder, TempPath};
use tracing::info;

use crate::{
    accounts::AccountStore,
    cli::{
        error::CliError,
        paths::{folder_of, sync_folder_of, with_suffix},
    },
};

/// A database under a temporary name. Dropping this deletes the database and the folders that were created for it.
pub(in crate::cli) struct NewDatabase {
    temp_path: TempPath,
    path: PathBuf,
    folders: Folders,
}

/// Folders that were created, the deepest first. Dropping this deletes the empty folders.
struct Folders(Vec<PathBuf>);

impl NewDatabase {
    /// Creates an empty file in the folder of `path`. Only the owner can read the file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if let Ok(target) = fs::read_link(path) {
            return Err(io::Error::other(format!(
                "the path is a symbolic link to {}, which does not exist",
                target.display()
            )));
        }
        reject_leftovers(path)?;
        let folder = folder_of(path);
        let folders = Folders::create(folder)?;
        let temp_path = Builder::new().prefix(".signet-new-").tempfile_in(folder)?;
        Ok(Self {
            temp_path: temp_path.into_temp_path(),
            path: path.to_owned(),
            folders,
        })
    }

    /// The URL of the database under its temporary name.
    pub(super) fn url(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let path =
            std::path::absolute(&self.temp_path).unwrap_or_else(|_| self.temp_path.to_path_buf());
        let encoded = path
            .iter()
            .map(|name| percent_encode(name.as_bytes(), NON_ALPHANUMERIC).to_string());
        // Skips the root.
        let encoded: Vec<_> = encoded.skip(1).collect();
        format!("sqlite:/{}", encoded.join("/"))
    }

    /// The path of the database under its temporary name.
    pub(super) fn temp_path(&self) -> &Path {
        &self.temp_path
    }

    /// Closes the database, and renames the file to its final path, which is logged.
    pub(in crate::cli) async fn publish(self, accounts: &AccountStore) -> Result<(), CliError> {
        // The last connection writes the log back to the file.
        accounts.close().await;
        let path = self.path.clone();
        self.persist()?;
        log_created(&path);
        Ok(())
    }

    /// Renames the file of a closed database to its final path.
    pub(super) fn persist(mut self) -> Result<(), CliError> {
        let path = self.path.clone();
        let failed = |error: &io::Error| {
            CliError::from(format!(
                "cannot create the database {}: {error}; no accounts were written",
                path.display()
            ))
        };
        if with_suffix(&self.temp_path, "-wal").exists() {
            return Err(failed(&io::Error::other(
                "cannot write the write-ahead log back to the file",
            )));
        }
        reject_leftovers(&self.path).map_err(|error| failed(&error))?;
        self.folders.0.clear();
        let (temp_path, place) = (self.temp_path, self.path);
        match temp_path.persist_noclobber(&place) {
            Ok(()) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                return Err(failed(&io::Error::other(
                    "another process created the file meanwhile",
                )));
            }
            Err(error) => return Err(failed(&error.error)),
        }
        sync_folder_of(&place).map_err(|error| failed(&error))
    }
}

/// Logs the path of a new database.
pub(in crate::cli) fn log_created(path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    info!(path = %path.display(), "database created");
}

/// Rejects a path next to the files of a deleted database, because SQLite would write their changes into the new database.
fn reject_leftovers(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let leftover = with_suffix(path, suffix);
        if leftover.symlink_metadata().is_ok() {
            return Err(io::Error::other(format!(
                "{} belongs to a deleted database; delete this file first",
                leftover.display()
            )));
        }
    }
    Ok(())
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Fails if another process uses the folder by now.
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Folders {
    fn create(folder: &Path) -> io::Result<Self> {
        let missing = folder
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let missing = missing.map(Path::to_owned).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        Ok(Self(missing))
    }
}
