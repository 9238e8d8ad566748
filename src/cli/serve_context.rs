//! The values that `signet serve` derives from its settings.

use super::{certificate::Certificate, error::CliError, password, secret};
use crate::{
    auth::{PasswordHasher, Secrets},
    config::Settings,
};

pub(super) struct ServeContext {
    pub(super) passwords: PasswordHasher,
    /// The configured secrets. If the settings have no secret, the service generates a secret.
    pub(super) secrets: Option<Secrets>,
    pub(super) certificate: Option<Certificate>,
}

impl ServeContext {
    /// Loads the values without opening or creating the database: a start that fails must not change files.
    ///
    /// # Errors
    /// All errors of the settings together.
    pub(super) fn load(settings: &Settings) -> Result<Self, CliError> {
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
                let errors = [passwords.err(), secrets.err(), certificate.err()];
                Err(CliError::all(errors.into_iter().flatten()).of_settings())
            }
        }
    }
}
