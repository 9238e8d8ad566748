//! The secrets, the certificate, and the permissions of their files.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use rustix::process::geteuid;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::check::Check;
use crate::{
    auth::{Clock, weak_secret_reason},
    cli::{certificate::Certificate, output::counted, secret},
    config::{LoadedConfig, Settings, ValueSource},
};

/// Certbot and similar programs renew a certificate earlier than this before it expires.
const EXPIRES_SOON: Duration = Duration::days(14);

pub(super) fn run_checks(config: &LoadedConfig) -> Vec<Check> {
    let settings = &config.settings;
    let now = Clock::system().now();
    let mut checks = vec![check_secrets(settings, now)];
    checks.extend(check_certificate(settings, now));
    checks.push(check_files(config));
    checks
}

fn check_secrets(settings: &Settings, now: OffsetDateTime) -> Check {
    let name = "secret";
    let secrets = match secret::peek(settings) {
        Ok(Some(secrets)) => secrets,
        Ok(None) => {
            return Check::warning(name, "no secret yet")
                .hint("`signet serve` creates a secret next to the database");
        }
        Err(error) => return Check::failed(name, error),
    };
    let weakness = secrets.current.as_deref().and_then(weak_secret_reason);
    if let Some(reason) = weakness {
        let message = format!("{reason}: an attacker who guesses the secret can sign tokens");
        return Check::warning(name, message).hint("run `signet secret rotate`");
    }
    let previous = secrets.previous.len();
    let ends = secrets.previous.iter().filter_map(|secret| secret.until);
    let expired = ends.filter(|until| *until < now).count();
    if expired > 0 {
        let message = format!("{expired} of {previous} previous secrets have expired");
        return Check::warning(name, message).hint("remove the expired secrets");
    }
    if let (None, Some(unused)) = (&secrets.current, unused_secret(settings)) {
        let message = format!(
            "{} exists, but keys sign: the secret is not used",
            unused.display()
        );
        return Check::warning(name, message).hint(
            "move the secret to the previous secrets as the guide for signing keys describes, or delete the file",
        );
    }
    let mut facts = vec![format!("previous secrets: {previous}")];
    if let Some(current) = secrets.current {
        facts.insert(0, format!("{} bytes", current.len()));
    }
    if !secrets.keys.is_empty() {
        facts.push(format!("private keys: {}", secrets.keys.len()));
    }
    Check::ok(name, facts.join("; "))
}

/// Returns the file of a secret that the service has generated, if the file exists.
fn unused_secret(settings: &Settings) -> Option<PathBuf> {
    let mut generated = secret::generated_files(settings).into_iter();
    generated.next().filter(|path| path.exists())
}

fn check_certificate(settings: &Settings, now: OffsetDateTime) -> Option<Check> {
    let name = "certificate";
    let certificate = match Certificate::load(settings) {
        Ok(Some(certificate)) => certificate,
        Ok(None) => return None,
        Err(error) => return Some(Check::failed(name, error)),
    };
    let Some((first, last)) = certificate.validity() else {
        return Some(Check::warning(name, "the validity cannot be read"));
    };
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    let (first_text, last_text) = (text(first), text(last));
    Some(if now < first {
        Check::error(name, format!("not valid before {first_text}")).hint("check the clock")
    } else if last <= now {
        Check::error(name, format!("expired at {last_text}")).hint("renew the certificate")
    } else if last - now < EXPIRES_SOON {
        Check::warning(name, format!("expires soon, at {last_text}")).hint("renew the certificate")
    } else {
        Check::ok(name, format!("valid until {last_text}"))
    })
}

/// Checks the permissions and the owners of files with secrets or accounts.
fn check_files(config: &LoadedConfig) -> Check {
    let name = "files";
    let mut files = secret::files_with_secrets(&config.settings);
    files.extend(config.file.clone().filter(|_| file_has_secrets(config)));
    files.retain(|path| path.exists());
    let mut faults: Vec<String> = Vec::new();
    for path in &files {
        match secret::insecure_permissions(path) {
            Ok(None) => {}
            Ok(Some(users)) => faults.push(format!(
                "{} can be read or changed by {users}",
                path.display()
            )),
            Err(error) => faults.push(format!("{} cannot be checked: {error}", path.display())),
        }
    }
    // The service could not write to files of another user. If this command runs as root, their permissions look valid.
    for path in secret::generated_files(&config.settings) {
        let owner = fs::metadata(&path).map(|file| file.uid());
        if owner.is_ok_and(|owner| owner != geteuid().as_raw()) {
            faults.push(format!("{} belongs to another user", path.display()));
        }
    }
    match faults.as_slice() {
        [] => Check::ok(
            name,
            format!(
                "{} with secrets or accounts, protected from other users",
                counted(files.len() as u64, "file")
            ),
        ),
        faults => Check::warning(name, faults.join("; ")).hint(
            "run the service and this command as the owner of the files, and allow access only to the owner",
        ),
    }
}

/// Whether the configuration file contains a secret.
fn file_has_secrets(config: &LoadedConfig) -> bool {
    let is_in_file = |name| matches!(config.sources.get(name), Some(ValueSource::File { .. }));
    is_in_file("jwt_secret")
        || is_in_file("jwt_previous_secrets")
        || (is_in_file("database_url") && config.settings.database_url.has_password())
}
