//! The files of the secrets that commands replace.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{kept_in, location, previous_beside_the_database, staged};
use crate::{accounts::Location, cli::error::CliError, config::Settings};

pub(super) struct Files {
    /// The secret that signs.
    pub(super) current: PathBuf,
    /// The earlier secrets, one a line.
    pub(super) previous: PathBuf,
    /// A new secret that is accepted and does not sign yet.
    pub(super) staged: PathBuf,
    /// Whether several processes may share the database.
    pub(super) has_replicas: bool,
}

impl Files {
    /// The files of the settings, or the reason why there are none to replace.
    pub(super) fn of(settings: &Settings) -> Result<Self, CliError> {
        for (is_set, name) in [
            (settings.jwt_secret.is_some(), "SIGNET_JWT_SECRET"),
            (
                settings.jwt_previous_secrets.is_some(),
                "SIGNET_JWT_PREVIOUS_SECRETS",
            ),
        ] {
            if is_set {
                return Err(format!(
                    "{name} gives the secret itself, and this command replaces files; set {name}_FILE instead, or set \
                     SIGNET_JWT_SECRET to a new secret, add the old secret to SIGNET_JWT_PREVIOUS_SECRETS, and restart the service"
                )
                .into());
            }
        }
        let current = match &settings.jwt_secret_file {
            Some(path) => path.clone(),
            None => kept_in(settings)?.ok_or(
                "no file has the secret; set SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
            )?,
        };
        let previous = match &settings.jwt_previous_secrets_file {
            Some(path) => path.clone(),
            None => previous_beside_the_database(settings)?.ok_or(
                "no file has the previous secrets; set SIGNET_JWT_PREVIOUS_SECRETS_FILE, and restart the service once",
            )?,
        };
        let (current, previous) = (resolved(current)?, resolved(previous)?);
        if current == previous || is_same_file(&current, &previous) {
            return Err(format!(
                "{} is the file of the secret and of the previous secrets; they must be two files",
                current.display()
            )
            .into());
        }
        Ok(Self {
            has_replicas: matches!(location(settings)?, Location::Postgres(_)),
            staged: staged(&current),
            current,
            previous,
        })
    }
}

/// The file behind a link: a rename would replace the link. Rejects what is not a file, such as a device.
fn resolved(path: PathBuf) -> Result<PathBuf, CliError> {
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Ok(path);
    };
    let target = if found.is_symlink() {
        fs::canonicalize(&path)
            .map_err(|error| format!("cannot follow the link {}: {error}", path.display()))?
    } else {
        path
    };
    let is_file = fs::metadata(&target).is_ok_and(|target| target.is_file());
    if is_file {
        Ok(target)
    } else {
        Err(format!(
            "{} is not a regular file; name a file in SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
            target.display()
        )
        .into())
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}
