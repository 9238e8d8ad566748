//! The secrets: given by settings, or one that is made once and kept beside the database.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::{getegid, getgroups};
use tracing::{info, warn};

mod draft;
mod files;
mod rotate;
mod status;

use super::{database::unopened, error::CliError};
use crate::{
    accounts::Location,
    auth::{PreviousSecret, Secrets, random},
    config::Settings,
};
use draft::Draft;
pub(super) use draft::{folder, sync};
pub(super) use rotate::beside;

#[derive(clap::Subcommand)]
pub(super) enum Secret {
    /// Sign with a new secret, and still accept tokens of the old one
    Rotate(rotate::Rotate),
    /// Show when the file of each secret was changed, and how many tokens each has verified since the last reload
    Status(status::Status),
}

impl Secret {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Rotate(command) => command.run(settings),
            Self::Status(command) => command.run(settings).await,
        }
    }
}

/// The secrets that were given, if one was to sign with.
pub(super) fn given(settings: &Settings) -> Result<Option<Secrets>, CliError> {
    let location = location(settings)?;
    let (current, origin) = match (&settings.jwt_secret, &settings.jwt_secret_file) {
        (Some(secret), _) => (
            secret.0.clone().into_bytes(),
            "SIGNET_JWT_SECRET".to_owned(),
        ),
        (None, Some(path)) => (
            named(path, "SIGNET_JWT_SECRET_FILE")?,
            path.display().to_string(),
        ),
        (None, None) => match location {
            Location::Memory | Location::File(_) => {
                // They go with the one that is made.
                previous(settings)?;
                return Ok(None);
            }
            Location::Postgres(_) => {
                return Err(
                    "no secret signs the tokens: set SIGNET_JWT_SECRET_FILE, or SIGNET_JWT_SECRET, to the same one \
                     for every replica. `openssl rand -hex 32` makes one"
                        .into(),
                );
            }
        },
    };
    checked(settings, current, &origin).map(Some)
}

/// A secret of the service's own: made once, and kept beside the database.
pub(super) fn kept(settings: &Settings) -> Result<Secrets, CliError> {
    match kept_in(settings)? {
        None => checked(settings, random::hex::<32>().into_bytes(), "memory"),
        Some(path) => {
            let secret = make(&path).and_then(|()| read(&path)).map_err(|error| {
                format!(
                    "cannot keep a secret in {}: {error}. Mend that, or set SIGNET_JWT_SECRET_FILE",
                    path.display()
                )
            })?;
            checked(settings, secret, &path.display().to_string())
        }
    }
}

/// The secrets that `serve` would sign with; none where it would make one.
pub(super) fn existing(settings: &Settings) -> Result<Option<Secrets>, CliError> {
    if let Some(secrets) = given(settings)? {
        return Ok(Some(secrets));
    }
    let kept = kept_in(settings)?.filter(|path| path.exists());
    kept.map(|path| in_file(settings, &path)).transpose()
}

/// The secrets as they are now, for a service that goes on: it never makes one, since that would end every
/// token, and one that is in memory alone stays.
pub(super) fn again(settings: &Settings, held: &Secrets) -> Result<Secrets, CliError> {
    if let Some(secrets) = given(settings)? {
        return Ok(secrets);
    }
    match kept_in(settings)? {
        Some(path) => in_file(settings, &path),
        None => checked(settings, held.current.clone(), "memory"),
    }
}

/// The secret of the service's own that is in this file, with the earlier ones.
fn in_file(settings: &Settings, path: &Path) -> Result<Secrets, CliError> {
    let secret = read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    checked(settings, secret, &path.display().to_string())
}

/// The file of a secret of the service's own, unless that is in memory alone.
fn kept_in(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    Ok(match location(settings)? {
        Location::File(database) => Some(PathBuf::from(format!("{}.secret", database.display()))),
        Location::Memory | Location::Postgres(_) => None,
    })
}

/// The file of a secret that is staged to replace the secret in `path`.
pub(super) fn staged(path: &Path) -> PathBuf {
    beside(path, ".staged")
}

/// The default file of the previous secrets, which may not exist.
fn previous_beside_the_database(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    Ok(kept_in(settings)?.map(|secret| beside(&secret, ".previous")))
}

fn location(settings: &Settings) -> Result<Location, CliError> {
    settings.database_location().map_err(unopened)
}

/// The secrets, when the current one is long enough to sign with.
fn checked(settings: &Settings, current: Vec<u8>, origin: &str) -> Result<Secrets, CliError> {
    let secrets = Secrets {
        current,
        previous: previous(settings)?,
    };
    for (at, secret) in secrets.previous.iter().enumerate() {
        if secret.is_short() {
            let (number, until) = (at + 1, secret.until);
            warn!(
                number,
                ?until,
                "a previous secret is shorter than 32 bytes: it verifies, but should go soon"
            );
        }
    }
    secrets.check().map_err(|error| {
        format!(
            "the secret in {origin} is too short: {error}. Make one with `openssl rand -hex 32`"
        )
    })?;
    Ok(secrets)
}

/// The earlier secrets, one a line.
fn previous(settings: &Settings) -> Result<Vec<PreviousSecret>, CliError> {
    let name = "SIGNET_JWT_PREVIOUS_SECRETS_FILE";
    let lines = match (
        &settings.jwt_previous_secrets,
        &settings.jwt_previous_secrets_file,
    ) {
        (Some(secrets), _) => secrets.0.clone().into_bytes(),
        (None, Some(path)) => named(path, name)?,
        (None, None) => match previous_beside_the_database(settings)? {
            // Read anew on every reload: the first rotation creates the file.
            Some(path) if path.exists() => read_all(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
            _ => return Ok(Vec::new()),
        },
    };
    let given = lines
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    let previous = given.map(|(at, line)| {
        // Never the line itself: it is a secret.
        PreviousSecret::read(line)
            .map_err(|error| format!("line {} of the previous secrets: {error}", at + 1))
    });
    Ok(previous.collect::<Result<_, _>>()?)
}

fn named(path: &Path, setting: &str) -> Result<Vec<u8>, CliError> {
    read(path).map_err(|error| {
        format!(
            "cannot read {}, which {setting} names: {error}",
            path.display()
        )
        .into()
    })
}

/// Reads a file of secrets. Warns if other users can read or change the file.
fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(whom) = exposure(path)? {
        warn!(path = %path.display(), "this secret is not the service's alone: it can be read or changed by {whom}");
    }
    fs::read(path)
}

/// A secret is the file's bytes; one line break at the end is the editor's.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = read_all(path)?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Who else may read or change a file: others, or a group that is not this process's, with what to do.
pub(super) fn exposure(path: &Path) -> io::Result<Option<&'static str>> {
    let file = fs::metadata(path)?;
    let own = || {
        let groups = getgroups().unwrap_or_default();
        getegid().as_raw() == file.gid() || groups.iter().any(|group| group.as_raw() == file.gid())
    };
    Ok(if file.mode() & 0o007 != 0 {
        Some("everybody (chmod o-rwx)")
    } else if file.mode() & 0o070 != 0 && !own() {
        Some("a group that is not the service's (chmod g-rwx)")
    } else {
        None
    })
}

/// Creates a secret, unless the file exists. If two processes do so at the same time, one wins and both read its secret.
fn make(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let draft = Draft::write(path, format!("{}\n", random::hex::<32>()).as_bytes())?;
    if draft.create()? {
        info!(path = %path.display(), "made a secret that signs the tokens: keep it as long as they are to be good");
    }
    Ok(())
}
