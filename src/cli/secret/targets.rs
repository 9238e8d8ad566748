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
        let current = files::current(settings)?.into_path().ok_or(
            "no file has the secret; set SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
        )?;
        let previous = files::previous(settings)?.into_path().ok_or(
            "no file has the previous secrets; set SIGNET_JWT_PREVIOUS_SECRETS_FILE, and restart the service once",
        )?;
        let (current, previous) = (resolve(current)?, resolve(previous)?);
        if current == previous || is_same_file(&current, &previous) {
            return Err(format!(
                "{} is the file of the secret and of the previous secrets; they must be two files",
                current.display()
            )
            .into());
        }
        if !current.exists() {
            return Err(format!(
                "no secret at {}; `signet serve` creates the first one",
                current.display()
            )
            .into());
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
        let lock = |path: &PathBuf| {
            let folder = folder_of(path);
            let lock = File::open(folder).map_err(|error| unreadable(path, &error))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(
                        "another rotation of this secret is running; nothing was changed".into(),
                    );
                }
                Err(TryLockError::Error(error)) => return Err(unreadable(path, &error)),
            }
            write::remove_leftovers(folder).map_err(|error| unreadable(path, &error))?;
            Ok(lock)
        };
        paths.into_iter().map(lock).collect()
    }
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
            return Err(format!(
                "{name} gives the secret itself, and this command replaces files; set {name}_FILE instead, or set \
                 SIGNET_JWT_SECRET to a new secret, add the old secret to SIGNET_JWT_PREVIOUS_SECRETS, and restart the service"
            )
            .into());
        }
    }
    Ok(())
}

/// Returns the target of a symbolic link, since a rename would replace the link. Rejects devices and other special files.
fn resolve(path: PathBuf) -> Result<PathBuf, CliError> {
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
    Err(format!(
        "{} is not a regular file; name a file in SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
        target.display()
    )
    .into())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> CliError {
    format!(
        "cannot read {}: {error}; nothing was changed",
        path.display()
    )
    .into()
}
