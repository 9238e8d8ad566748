//! What the settings make, before anything is opened or made: what cannot be served should leave nothing behind.

use super::{certificate::Certificate, error::CliError, password, secret};
use crate::{
    auth::{PasswordHasher, Secrets},
    config::Settings,
};

/// All of it.
pub(super) struct Prepared {
    pub(super) passwords: PasswordHasher,
    /// None where the service makes one of its own.
    pub(super) secrets: Option<Secrets>,
    pub(super) certificate: Option<Certificate>,
}

impl Prepared {
    /// What the settings make, or all that is wrong with them.
    pub(super) fn of(settings: &Settings) -> Result<Self, CliError> {
        let parts = (
            password::passwords(settings),
            secret::configured(settings),
            Certificate::load(settings),
        );
        match parts {
            (Ok(passwords), Ok(secrets), Ok(certificate)) => Ok(Self {
                passwords,
                secrets,
                certificate,
            }),
            (passwords, secrets, certificate) => {
                let failures = [passwords.err(), secrets.err(), certificate.err()];
                let failures = failures.into_iter().flatten();
                Err(CliError::of_lines(
                    1,
                    failures.map(|failure| failure.message),
                ))
            }
        }
    }
}
