//! The files that `signet secret rotate` replaces.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{files, write};
use crate::{
    accounts::DatabaseUrl,
    cli::{database, error::CliError, paths::folder_of},
    config::Settings,
};

/// The state after a rotation that failed before its first write.
const UNCHANGED: &str = "nothing was changed";

#[derive(Clone)]
pub(super) struct Targets {
    /// The secret that signs tokens.
    pub(super) current: PathBuf,
    /// The previous secrets, one per line.
    pub(super) previous: PathBuf,
    /// A new secret that is accepted and does not sign tokens yet.
    pub(super) staged: PathBuf,
    /// Whether other processes may share the database.
    pub(super) has_replicas: bool,
}

impl Targets {
    /// Returns the files, or the reason why this command cannot replace the secret.
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        reject_values(settings)?;
        let current = files::current(settings)?.into_path().ok_or_else(|| {
            CliError::from("the secret is not in a file")
                .hint("set SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE")
        })?;
        let previous = files::previous(settings)?.into_path().ok_or_else(|| {
            CliError::from("the previous secrets are not in a file")
                .hint("set SIGNET_JWT_PREVIOUS_SECRETS_FILE, and restart the service once")
        })?;
        let (current, previous) = (resolve(current)?, resolve(previous)?);
        if current == previous || is_same_file(&current, &previous) {
            return Err(CliError::from(format!(
                "{} is the file of the secret and of the previous secrets",
                current.display()
            ))
            .hint("use two files"));
        }
        if !current.exists() {
            return Err(
                CliError::from(format!("no secret at {}", current.display()))
                    .hint("`signet serve` creates the first secret"),
            );
        }
        Ok(Self {
            has_replicas: matches!(database::location(settings)?, DatabaseUrl::Postgres(_)),
            staged: files::staged(&current),
            current,
            previous,
        })
    }

    /// Locks the folders of the files against other rotations, and deletes the temporary files of rotations that were killed. The locks
    /// end when the returned files are dropped.
    pub(super) fn lock(&self) -> Result<Vec<File>, CliError> {
        let mut paths = vec![&self.current];
        if !is_same_file(folder_of(&self.current), folder_of(&self.previous)) {
            paths.push(&self.previous);
        }
        paths.into_iter().map(|path| lock_folder_of(path)).collect()
    }
}

/// Locks the folder of a file against other rotations, and deletes the temporary files of rotations that were killed.
pub(super) fn lock_folder_of(path: &Path) -> Result<File, CliError> {
    let folder = folder_of(path);
    let lock = File::open(folder).map_err(|error| unreadable(path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let running = CliError::from("another rotation of this secret is running");
            return Err(running.state(UNCHANGED));
        }
        Err(TryLockError::Error(error)) => return Err(unreadable(path, &error)),
    }
    write::remove_leftovers(folder).map_err(|error| unreadable(path, &error))?;
    Ok(lock)
}

/// Rejects secrets in the values of settings, which a command cannot replace.
fn reject_values(settings: &Settings) -> Result<(), CliError> {
    for (value, name) in [
        (&settings.jwt_secret, "SIGNET_JWT_SECRET"),
        (
            &settings.jwt_previous_secrets,
            "SIGNET_JWT_PREVIOUS_SECRETS",
        ),
    ] {
        if value.is_some() {
            return Err(CliError::from(format!(
                "the secret is the value of {name}, and this command replaces only files"
            ))
            .hint(format!(
                "set {name}_FILE instead, or set SIGNET_JWT_SECRET to a new secret, add the old secret to \
                 SIGNET_JWT_PREVIOUS_SECRETS, and restart the service"
            )));
        }
    }
    Ok(())
}

/// Returns the target of a symbolic link, since a rename would replace the link. Rejects devices and other special files.
pub(super) fn resolve(path: PathBuf) -> Result<PathBuf, CliError> {
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Ok(path);
    };
    let target = if found.is_symlink() {
        fs::canonicalize(&path)
            .map_err(|error| format!("cannot follow the link {}: {error}", path.display()))?
    } else {
        path
    };
    if fs::metadata(&target).is_ok_and(|target| target.is_file()) {
        return Ok(target);
    }
    Err(
        CliError::from(format!("{} is not a regular file", target.display()))
            .hint("use regular files for secrets and keys"),
    )
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::from(format!("cannot read {}: {error}", path.display())).state(UNCHANGED)
}
