//! Reloads the secrets and the certificate on SIGHUP.

use tokio::signal::unix::SignalKind;
use tracing::{error, info};

use super::systemd;
use crate::{
    auth::{AuthService, SecretTooShort, Secrets},
    cli::{certificate::Certificate, error::CliError, secret, signal},
    config::Settings,
};

pub(super) struct Reloader {
    pub(super) auth: AuthService,
    pub(super) settings: Settings,
    pub(super) secrets: Secrets,
    pub(super) certificate: Option<Certificate>,
}

impl Reloader {
    /// Starts a task that reloads on every SIGHUP. If a file cannot be read, the previous values stay in use.
    pub(super) fn spawn_sighup_handler(self) -> Result<(), CliError> {
        let mut hangup = signal::on(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                systemd::reloading();
                self.reload_secrets();
                if let Some(certificate) = &self.certificate {
                    certificate.reload();
                }
                systemd::ready();
            }
        });
        Ok(())
    }

    fn reload_secrets(&self) {
        let verified = self.auth.tokens.verified();
        let secrets = secret::reload(&self.settings, &self.secrets);
        let result = secrets.and_then(|secrets| {
            let too_short = |error: SecretTooShort| CliError::from(error.to_string());
            self.auth.tokens.replace(&secrets).map_err(too_short)
        });
        match result {
            Ok(()) => info!(?verified, "secrets reloaded"),
            Err(error) => error!(
                error = error.message,
                hint = error.hint,
                "cannot reload the secrets; the previous secrets stay in use"
            ),
        }
    }
}
