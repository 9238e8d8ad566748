//! A new database of SQLite that appears at its path when it is complete.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use tempfile::{Builder, TempPath};

use super::log_created;
use crate::{
    accounts::Users,
    cli::{
        error::CliError,
        paths::{folder_of, sync_folder_of, with_suffix},
    },
};

/// A database under a temporary name. Dropping it deletes its files, and the folders that were created for it.
pub(in crate::cli) struct NewDatabase {
    draft: TempPath,
    path: PathBuf,
    folders: Folders,
}

/// Folders that were created, the deepest first. Dropping them deletes those that are empty.
struct Folders(Vec<PathBuf>);

impl NewDatabase {
    /// Creates an empty file in the folder of `path`, which only its owner can read.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        let folders = Folders::create(folder)?;
        let draft = Builder::new().prefix(".signet-new-").tempfile_in(folder)?;
        Ok(Self {
            draft: draft.into_temp_path(),
            path: path.to_owned(),
            folders,
        })
    }

    /// The URL of the database under its temporary name.
    pub(super) fn url(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::absolute(&self.draft).unwrap_or_else(|_| self.draft.to_path_buf());
        let encoded = path
            .iter()
            .map(|name| percent_encode(name.as_bytes(), NON_ALPHANUMERIC).to_string());
        // The first name is the root, which is encoded, too.
        let encoded: Vec<_> = encoded.skip(1).collect();
        format!("sqlite:/{}", encoded.join("/"))
    }

    /// Closes the database, and gives the file its name. Logs where the file is.
    pub(in crate::cli) async fn publish(mut self, users: &Users) -> Result<(), CliError> {
        // The last connection writes the log back into the file.
        users.close().await;
        let path = self.path.clone();
        let failed = |error: &io::Error| {
            CliError::from(format!(
                "cannot create the database {}: {error}; nothing was imported",
                path.display()
            ))
        };
        if with_suffix(&self.draft, "-wal").exists() {
            return Err(failed(&io::Error::other(
                "its log could not be written back",
            )));
        }
        self.folders.0.clear();
        let (draft, place) = (self.draft, self.path);
        match draft.persist_noclobber(&place) {
            Ok(()) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                return Err(failed(&io::Error::other(
                    "another process created it meanwhile; run the command again",
                )));
            }
            Err(error) => return Err(failed(&error.error)),
        }
        sync_folder_of(&place).map_err(|error| failed(&error))?;
        log_created(&place);
        Ok(())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Another process may use the folder by now.
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
