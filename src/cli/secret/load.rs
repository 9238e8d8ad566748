//! Loads the secrets that sign and verify tokens.

use std::path::Path;

use tracing::{info, warn};

use super::{
    files::{self, Source},
    read::{lines, read_file, read_secret},
    write,
};
use crate::{
    auth::{GENERATE_HINT, PreviousSecret, PrivateKey, SecretError, Secrets, random},
    cli::error::CliError,
    config::{JwtAlgorithm, Settings},
};

/// Loads the secrets if the settings give a secret. Returns `None` if the service generates its secret.
pub(in crate::cli) fn configured(settings: &Settings) -> Result<Option<Secrets>, CliError> {
    if settings.jwt_algorithm == JwtAlgorithm::Es256 {
        return without_current(settings).map(Some);
    }
    let (current, origin) = match files::current(settings)? {
        Source::Value(secret) => (
            secret.0.clone().into_bytes(),
            "SIGNET_JWT_SECRET".to_owned(),
        ),
        Source::Named(path) => (
            read_secret(path).map_err(|error| unreadable(path, "SIGNET_JWT_SECRET_FILE", error))?,
            path.display().to_string(),
        ),
        Source::Default(_) | Source::Memory => {
            // The previous secrets and the keys must be valid before the service generates a secret.
            load_previous(settings)?;
            load_keys(settings)?;
            return Ok(None);
        }
        Source::Unset => {
            return Err(CliError::usage("no secret is configured to sign tokens").hint(
                "set SIGNET_JWT_SECRET_FILE or SIGNET_JWT_SECRET to the same secret for every replica; `openssl rand -hex 32` \
                 generates a secret",
            ));
        }
    };
    with_previous(settings, Some(current), &origin).map(Some)
}

/// Loads the secrets of a service whose keys sign. A secret that could sign tokens of HS256 must not be accepted without an end.
fn without_current(settings: &Settings) -> Result<Secrets, CliError> {
    for (is_set, name) in [
        (settings.jwt_secret.is_some(), "SIGNET_JWT_SECRET"),
        (settings.jwt_secret_file.is_some(), "SIGNET_JWT_SECRET_FILE"),
    ] {
        if is_set {
            let message = format!("{name} signs with HS256, and SIGNET_JWT_ALGORITHM is ES256");
            return Err(CliError::usage(message).hint(format!(
                "move the secret to SIGNET_JWT_PREVIOUS_SECRETS_FILE, after the time until which its tokens are accepted, and unset {name}"
            )));
        }
    }
    let secrets = with_previous(settings, None, "")?;
    if secrets.previous.iter().any(|secret| secret.until.is_none()) {
        let message = "SIGNET_JWT_ALGORITHM is ES256, and a previous secret has no end";
        return Err(CliError::usage(message).hint(
            "write the time until which its tokens are accepted before the secret, such as `2027-01-31T00:00:00Z SECRET`",
        ));
    }
    Ok(secrets)
}

/// Loads the generated secret, and generates the secret if it does not exist yet.
pub(in crate::cli) fn generated(settings: &Settings) -> Result<Secrets, CliError> {
    let Source::Default(path) = files::current(settings)? else {
        return with_previous(settings, Some(random::hex::<32>().into_bytes()), "memory");
    };
    let secret = generate(&path).and_then(|()| read_secret(&path));
    let secret = secret.map_err(|error| {
        CliError::from(format!(
            "cannot store a new secret in {}: {error}",
            path.display()
        ))
        .hint("make the folder writable, or set SIGNET_JWT_SECRET_FILE")
    })?;
    with_previous(settings, Some(secret), &path.display().to_string())
}

/// Loads the secrets without generating a secret. Returns `None` if `serve` would generate the secret.
pub(in crate::cli) fn peek(settings: &Settings) -> Result<Option<Secrets>, CliError> {
    if let Some(secrets) = configured(settings)? {
        return Ok(Some(secrets));
    }
    match files::current(settings)? {
        Source::Default(path) if path.exists() => load_default(settings, &path).map(Some),
        _ => Ok(None),
    }
}

/// Loads the secrets again. A running service never generates another secret, since that would revoke every token.
pub(in crate::cli) fn reload(settings: &Settings, loaded: &Secrets) -> Result<Secrets, CliError> {
    if let Some(secrets) = configured(settings)? {
        return Ok(secrets);
    }
    match files::current(settings)? {
        Source::Default(path) => load_default(settings, &path),
        _ => with_previous(settings, loaded.current.clone(), "memory"),
    }
}

fn load_default(settings: &Settings, path: &Path) -> Result<Secrets, CliError> {
    let secret =
        read_secret(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    with_previous(settings, Some(secret), &path.display().to_string())
}

/// Adds the previous secrets and the keys. Rejects a short current secret, and logs a warning for each short previous secret.
fn with_previous(
    settings: &Settings,
    current: Option<Vec<u8>>,
    origin: &str,
) -> Result<Secrets, CliError> {
    let secrets = Secrets {
        current,
        previous: load_previous(settings)?,
        keys: load_keys(settings)?,
    };
    for (number, secret) in (1..).zip(&secrets.previous) {
        if secret.is_short() {
            let number: usize = number;
            warn!(
                number,
                until = secret.until.map(tracing::field::display),
                "a previous secret is shorter than 32 bytes; remove the secret as soon as its tokens have expired"
            );
        }
    }
    secrets.check().map_err(|error| match error {
        SecretError::TooShort(_) => {
            CliError::from(format!("the secret in {origin} is too short: {error}"))
                .hint("generate a secret with `openssl rand -hex 32`")
        }
        SecretError::Missing => no_key(),
    })?;
    Ok(secrets)
}

pub(super) fn no_key() -> CliError {
    let message = "SIGNET_JWT_ALGORITHM is ES256, and there is no private key";
    CliError::usage(message).hint(format!("set SIGNET_JWT_KEYS_FILE; {GENERATE_HINT}"))
}

/// Loads the previous secrets.
fn load_previous(settings: &Settings) -> Result<Vec<PreviousSecret>, CliError> {
    let text = match files::previous(settings)? {
        Source::Value(secrets) => secrets.0.clone().into_bytes(),
        Source::Named(path) => read_file(path)
            .map_err(|error| unreadable(path, "SIGNET_JWT_PREVIOUS_SECRETS_FILE", error))?,
        // The first rotation creates the file.
        Source::Default(path) if path.exists() => {
            read_file(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
        }
        Source::Default(_) | Source::Memory | Source::Unset => return Ok(Vec::new()),
    };
    let previous = (1..).zip(lines(&text)).filter(|(_, line)| !line.is_empty());
    let previous = previous.map(|(number, line)| {
        // The message does not quote the line, which is a secret.
        PreviousSecret::read(line)
            .map_err(|error| format!("line {number} of the previous secrets: {error}"))
    });
    Ok(previous.collect::<Result<_, _>>()?)
}

/// Loads the private keys.
pub(super) fn load_keys(settings: &Settings) -> Result<Vec<PrivateKey>, CliError> {
    let Some(path) = &settings.jwt_keys_file else {
        return Ok(Vec::new());
    };
    let file = read_file(path).map_err(|error| unreadable(path, "SIGNET_JWT_KEYS_FILE", error))?;
    PrivateKey::parse_all(&file).map_err(|problem| {
        let path = path.display();
        let context = format!("cannot use the keys in {path} (SIGNET_JWT_KEYS_FILE)");
        CliError::from(problem).in_context(&context).of_settings()
    })
}

/// Creates the file of a new secret, unless the file exists. If two processes do this at the same time, both use the same secret.
fn generate(path: &Path) -> std::io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let secret = format!("{}\n", random::hex::<32>());
    if write::create(path, secret.as_bytes())? {
        info!(path = %path.display(), "secret generated; if the file is lost, all tokens become invalid");
    }
    Ok(())
}

fn unreadable(path: &Path, setting: &str, error: std::io::Error) -> CliError {
    CliError::from(format!(
        "cannot read {} ({setting}): {error}",
        path.display()
    ))
    .hint("check the path, and that the user of the service may read the file")
}
