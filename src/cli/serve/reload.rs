//! Reloads the secrets and the certificate on SIGHUP.

use tokio::signal::unix::SignalKind;
use tracing::{error, info};

use super::{revoked, systemd, unpublished};
use crate::{
    auth::{AuthService, Secrets},
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
                self.reload_secrets().await;
                if let Some(certificate) = &self.certificate {
                    certificate.reload();
                }
                systemd::ready();
            }
        });
        Ok(())
    }

    async fn reload_secrets(&self) {
        let verified = self.auth.tokens.verified_counts();
        match self.replace_secrets().await {
            Ok(()) => info!(?verified, "secrets reloaded"),
            Err(error) => error!(
                error = error.message,
                hint = error.hint,
                "cannot reload the secrets; the previous secrets stay in use"
            ),
        }
    }

    async fn replace_secrets(&self) -> Result<(), CliError> {
        let secrets = secret::reload(&self.settings, &self.secrets)?;
        let published = self.auth.publish(&secrets.keys).await;
        published.map_err(|error| {
            let error = unpublished(error);
            let remedy = error.hint.as_deref().unwrap_or("check the database");
            let hint = format!("{remedy}; then send SIGHUP again");
            error.hint(hint)
        })?;
        if secrets.current.is_none() && self.auth.tokens.are_revoked(&secrets.keys) {
            return Err(revoked());
        }
        let replaced = self.auth.tokens.replace(&secrets);
        Ok(replaced.map_err(|error| error.to_string())?)
    }
}
