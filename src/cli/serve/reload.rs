//! What a running service reads anew on SIGHUP: its secrets and its certificate.

use tokio::signal::unix::SignalKind;
use tracing::{error, info};

use super::systemd;
use crate::{
    auth::{AuthService, SecretTooShort, Secrets},
    cli::{certificate::Certificate, error::CliError, secret, signal},
    config::Settings,
};

/// Who has it.
pub(super) struct Reloaded {
    pub(super) auth: AuthService,
    pub(super) settings: Settings,
    pub(super) secrets: Secrets,
    pub(super) certificate: Option<Certificate>,
}

impl Reloaded {
    /// Reads it on every SIGHUP. What cannot be read changes nothing.
    pub(super) fn on_hangup(self) -> Result<(), CliError> {
        let mut hangup = signal::on(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                systemd::reloading();
                self.secrets();
                if let Some(certificate) = &self.certificate {
                    certificate.reload();
                }
                systemd::ready();
            }
        });
        Ok(())
    }

    fn secrets(&self) {
        let verified = self.auth.tokens.verified();
        let read = secret::reload(&self.settings, &self.secrets);
        match read.and_then(|secrets| {
            let failed = |error: SecretTooShort| CliError::from(error.to_string());
            self.auth.tokens.replace(&secrets).map_err(failed)
        }) {
            Ok(()) => info!(
                ?verified,
                "read the secrets anew; so many tokens each of the old ones verified"
            ),
            Err(failure) => error!(error = failure.message, "the secrets stay as they were"),
        }
    }
}
