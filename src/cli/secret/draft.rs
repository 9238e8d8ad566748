//! Writes a secret's file as a whole or not at all.

use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// The complete new contents of a file, in a temporary file of the same folder. Dropping a draft deletes it.
pub(super) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Writes the contents to the disk, with mode 0600.
    pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<Self> {
        let mut file = Builder::new()
            .prefix(".signet-secret-")
            .tempfile_in(folder(path))?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    /// Replaces the file, with this owner and mode.
    pub(super) fn replace(self, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
        let file = self.file.as_file();
        let written = file.metadata()?;
        if (written.uid(), written.gid()) != (uid, gid) {
            fchown(file, Some(uid), Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()?;
        self.file.persist(&self.path)?;
        sync(&self.path)
    }

    /// Creates the file with these contents, unless the file exists. Returns whether it was created.
    pub(super) fn create(self) -> io::Result<bool> {
        match self.file.persist_noclobber(&self.path) {
            Ok(_) => sync(&self.path).map(|()| true),
            Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(failed) => Err(failed.error),
        }
    }
}

/// The folder of a file.
pub(in crate::cli) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// Stores the names in the folder of a file on the disk.
pub(in crate::cli) fn sync(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}
