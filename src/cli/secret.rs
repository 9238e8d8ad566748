//! The secret that signs the tokens: given by a setting, or made once and kept beside the database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tracing::info;

use super::Failure;
use crate::{
    auth::{Lifetimes, Tokens, random},
    config::Settings,
    users::Location,
};

/// Tokens under the secret that was given, if one was.
pub(super) fn given(settings: &Settings) -> Result<Option<Tokens>, Failure> {
    if let Some(secret) = &settings.jwt_secret {
        return tokens(settings, secret.0.as_bytes(), "SIGNET_JWT_SECRET").map(Some);
    }
    let Some(path) = &settings.jwt_secret_file else {
        return Ok(None);
    };
    let secret = read(path).map_err(|error| {
        format!(
            "cannot read {}, which SIGNET_JWT_SECRET_FILE names: {error}",
            path.display()
        )
    })?;
    tokens(settings, &secret, &path.display().to_string()).map(Some)
}

/// Tokens under a secret of the service's own: made once, and kept beside the database.
pub(super) fn kept(settings: &Settings) -> Result<Tokens, Failure> {
    match Location::of(&settings.database_url).map_err(|error| error.to_string())? {
        Location::Memory => tokens(settings, random::hex::<32>().as_bytes(), "memory"),
        Location::File(database) => {
            let path = PathBuf::from(format!("{}.secret", database.display()));
            let secret = make(&path).and_then(|()| read(&path)).map_err(|error| {
                format!(
                    "cannot keep a secret in {}: {error}. Mend that, or set SIGNET_JWT_SECRET_FILE",
                    path.display()
                )
            })?;
            tokens(settings, &secret, &path.display().to_string())
        }
    }
}

fn tokens(settings: &Settings, secret: &[u8], origin: &str) -> Result<Tokens, Failure> {
    let lifetimes = Lifetimes {
        expires_in: settings.jwt_expires_in.get().into(),
        refresh_window: settings.jwt_refresh_window.into(),
    };
    Tokens::new(secret, lifetimes).map_err(|error| {
        format!(
            "the secret in {origin} is too short: {error}. Make one with `openssl rand -hex 32`"
        )
        .into()
    })
}

/// A secret is the file's bytes; one line break at the end is the editor's.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = fs::read(path)?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Makes a secret where there is none. Of two processes that start at once, one wins, and both read its secret.
fn make(path: &Path) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if path.try_exists()? {
        return Ok(());
    }
    let draft = PathBuf::from(format!("{}.{}", path.display(), random::hex::<8>()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", random::hex::<32>())?;
    file.sync_all()?;
    let made = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => {
            info!(path = %path.display(), "made a secret that signs the tokens: keep it as long as they are to be good");
            Ok(())
        }
    }
}
