//! The file of a Unix socket, and its lock.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// The path of a Unix socket, locked by a file `PATH.lock`. Dropping the value removes both files.
pub(super) struct SocketFile {
    path: PathBuf,
    lock_path: PathBuf,
    is_bound: bool,
    _lock: File,
}

impl SocketFile {
    /// Locks a path. Fails with `AddrInUse` if another service has the lock, even if that service does not listen yet.
    pub(super) fn lock(path: &Path) -> io::Result<Self> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        loop {
            // Symbolic links are not followed, and the content of an existing file is not changed.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let lock = options
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&lock_path)
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", lock_path.display()))
                })?;
            lock.try_lock().map_err(|_| io::ErrorKind::AddrInUse)?;
            // Another service may have removed the file after it was opened here. A lock of a removed file is useless.
            let is_current = fs::symlink_metadata(&lock_path)
                .is_ok_and(|found| lock.metadata().is_ok_and(|own| own.ino() == found.ino()));
            if is_current {
                return Ok(Self {
                    path: path.to_owned(),
                    lock_path,
                    is_bound: false,
                    _lock: lock,
                });
            }
        }
    }

    /// The socket was bound to the path, so dropping this value removes the path too.
    pub(super) const fn set_bound(&mut self) {
        self.is_bound = true;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // While this process has the lock, no other service replaces the socket.
        if self.is_bound {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_file(&self.lock_path);
    }
}
