//! Writes files of secrets. A reader sees either the old or the new contents of a file, never a part.

use std::{
    fs::{self, Metadata, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::Path,
};

use tempfile::{Builder, NamedTempFile};

use crate::cli::{
    error::CliError,
    paths::{folder_of, sync_folder_of},
};

/// The start of the names of temporary files with new secrets.
const CREATE_PREFIX: &str = ".signet-new-secret-";
/// The start of the names of temporary files that replace a file.
const REPLACE_PREFIX: &str = ".signet-secret-";

/// The step after a change of the files.
pub(super) const RELOAD: &str = "reload the service: `systemctl reload signet`, or `kill -HUP PID`";

/// Creates a file with mode 0600, unless the file exists. Returns whether the file was created.
pub(super) fn create(path: &Path, contents: &[u8]) -> io::Result<bool> {
    let file = write_temporary(path, CREATE_PREFIX, contents)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder_of(path).map(|()| true),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

/// Replaces a file. The new file has the owner and mode of `model`.
pub(super) fn replace(path: &Path, contents: &[u8], model: &Metadata) -> io::Result<()> {
    let temporary = write_temporary(path, REPLACE_PREFIX, contents)?;
    let file = temporary.as_file();
    let written = file.metadata()?;
    if (written.uid(), written.gid()) != (model.uid(), model.gid()) {
        fchown(file, Some(model.uid()), Some(model.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(model.mode() & 0o7777))?;
    file.sync_all()?;
    temporary.persist(path)?;
    sync_folder_of(path)
}

/// Deletes the temporary files of replacements that were killed. The caller must hold the lock of the folder.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(REPLACE_PREFIX.as_bytes())
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes the contents to a temporary file in the folder of `path`. If the function fails, the temporary file is deleted.
fn write_temporary(path: &Path, prefix: &str, contents: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = Builder::new().prefix(prefix).tempfile_in(folder_of(path))?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Returns the error of a file that was not written, with its remedy.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let hint = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "run this command as the owner of the file, on a machine where the file is writable, and distribute the files from there"
        }
        io::ErrorKind::ResourceBusy => {
            "the file is a mount point: replace the secret at the source of the mount"
        }
        _ => "run the command again",
    };
    CliError::from(format!("cannot write {}: {error}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_killed_replacements_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(create(&path, b"old").unwrap());
        assert!(!create(&path, b"other").unwrap());
        let leftover = write_temporary(&path, REPLACE_PREFIX, b"new").unwrap();
        let (_, leftover) = leftover.keep().unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert!(!leftover.exists());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
