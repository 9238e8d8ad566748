//! What must stay secret, or be shown: the secrets, the certificate, and who may read their files.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use rustix::process::geteuid;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::Finding;
use crate::{
    accounts::Location,
    auth::{Clock, weak_secret_reason},
    cli::{certificate::Certificate, secret},
    config::{LoadedConfig, Settings, ValueSource},
};

/// Whoever renews certificates does so earlier than that.
const SOON: Duration = Duration::days(14);

pub(super) fn look(config: &LoadedConfig) -> Vec<Finding> {
    let settings = &config.settings;
    let now = Clock::system().now();
    let mut findings = vec![signing(settings, now)];
    findings.extend(tls(settings, now));
    findings.push(files(config));
    findings
}

fn signing(settings: &Settings, now: OffsetDateTime) -> Finding {
    let subject = "secret";
    let secrets = match secret::existing(settings) {
        Ok(Some(secrets)) => secrets,
        Ok(None) => {
            return Finding::doubtful(
                subject,
                "there is none yet: `signet serve` makes one beside the database",
            );
        }
        Err(failure) => return Finding::bad(subject, failure.message),
    };
    let is_past = |until: Option<OffsetDateTime>| until.is_some_and(|until| until < now);
    let past = secrets
        .previous
        .iter()
        .filter(|previous| is_past(previous.until))
        .count();
    let previous = secrets.previous.len();
    match weak_secret_reason(&secrets.current) {
        Some(reason) => Finding::doubtful(
            subject,
            format!(
                "{reason}: whoever guesses it can make tokens. Make one with `openssl rand -hex 32`, and rotate"
            ),
        ),
        None if past > 0 => Finding::doubtful(
            subject,
            format!(
                "{past} of the {previous} previous secrets are past their date: take them away"
            ),
        ),
        None => Finding::good(
            subject,
            format!(
                "it has {} bytes; previous ones: {previous}",
                secrets.current.len()
            ),
        ),
    }
}

fn tls(settings: &Settings, now: OffsetDateTime) -> Option<Finding> {
    let subject = "certificate";
    let certificate = match Certificate::load(settings) {
        Ok(Some(certificate)) => certificate,
        Ok(None) => return None,
        Err(failure) => return Some(Finding::bad(subject, failure.message)),
    };
    let Some((first, last)) = certificate.validity() else {
        return Some(Finding::doubtful(subject, "its last day cannot be told"));
    };
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    Some(if now < first {
        let said = format!(
            "it is good from {} on, and not yet: is the clock right?",
            text(first)
        );
        Finding::bad(subject, said)
    } else if last <= now {
        Finding::bad(
            subject,
            format!("it was good until {}: renew it", text(last)),
        )
    } else if last - now < SOON {
        let said = format!("it is good until {}, which is soon: renew it", text(last));
        Finding::doubtful(subject, said)
    } else {
        Finding::good(subject, format!("it is good until {}", text(last)))
    })
}

/// Those that hold a secret, or hashes, and that others may read or change.
fn files(config: &LoadedConfig) -> Finding {
    let subject = "files";
    let settings = &config.settings;
    let mut files: Vec<PathBuf> = [
        &settings.jwt_secret_file,
        &settings.jwt_previous_secrets_file,
        &settings.tls_key,
        &config.file.clone().filter(|_| file_has_secrets(config)),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    let mut own = Vec::new();
    if let Ok(Location::File(database)) = settings.database_location() {
        let secret = secret::beside(&database, ".secret");
        own.push(secret.clone());
        own.push(secret::beside(&secret, ".previous"));
        own.push(database);
    }
    let staged = settings
        .jwt_secret_file
        .iter()
        .cloned()
        .chain(own.first().cloned());
    let staged: Vec<_> = staged.map(|path| secret::staged(&path)).collect();
    files.extend(staged);
    files.extend(own.iter().cloned());
    files.retain(|path| path.exists());
    let mut faults: Vec<String> = Vec::new();
    for path in &files {
        match secret::exposure(path) {
            Ok(None) => {}
            Ok(Some(fault)) => faults.push(format!(
                "{} can be read or changed by {fault}",
                path.display()
            )),
            Err(error) => faults.push(format!("{} cannot be looked at: {error}", path.display())),
        }
    }
    // What the service writes must be its own: as root, everything seems to be.
    for path in own.iter().filter(|path| path.exists()) {
        let owner = fs::metadata(path).map(|file| file.uid());
        if owner.is_ok_and(|owner| owner != geteuid().as_raw()) {
            faults.push(format!(
                "{} is another user's: run this, and the service, as its owner",
                path.display()
            ));
        }
    }
    match faults.as_slice() {
        [] => Finding::good(
            subject,
            format!(
                "{} that hold secrets or accounts are the service's alone",
                files.len()
            ),
        ),
        faults => Finding::doubtful(subject, faults.join("; ")),
    }
}

/// Whether the configuration file contains a secret.
fn file_has_secrets(config: &LoadedConfig) -> bool {
    let is_in_file = |name| matches!(config.sources.get(name), Some(ValueSource::File { .. }));
    is_in_file("jwt_secret")
        || is_in_file("jwt_previous_secrets")
        || (is_in_file("database_url") && config.settings.database_url.has_password())
}
