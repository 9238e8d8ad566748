//! The TLS certificate: loads the files, logs the expiry, and reloads the files when they change.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::sleep;
use tracing::{error, info};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

use super::error::CliError;
use crate::{config::Settings, server::ReloadableTls};

/// How often the service checks whether the files have changed.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate that clients see. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) tls: Arc<ReloadableTls>,
    /// The metric with the expiry in Unix seconds.
    pub(super) expiry: Gauge,
}

impl Certificate {
    /// Loads the certificate of the settings. Returns `None` without TLS.
    pub(super) fn load(settings: &Settings) -> Result<Option<Self>, CliError> {
        let Some((certificate, key)) = settings.tls_files() else {
            return Ok(None);
        };
        let tls = ReloadableTls::load(certificate, key)?;
        Ok(Some(Self {
            tls: Arc::new(tls),
            expiry: Gauge::default(),
        }))
    }

    /// Returns the start and the end of the validity, or `None` if the certificate cannot be parsed.
    pub(super) fn validity(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let leaf = self.tls.leaf();
        let (_, certificate) = parse_x509_certificate(&leaf).ok()?;
        let instant = |time: ASN1Time| OffsetDateTime::from_unix_timestamp(time.timestamp()).ok();
        let validity = certificate.validity();
        Some((instant(validity.not_before)?, instant(validity.not_after)?))
    }

    /// Reloads the files. An invalid certificate never replaces a valid one.
    pub(super) fn reload(&self) {
        match self.tls.reload() {
            Ok(()) => self.log("certificate reloaded"),
            Err(error) => {
                error!(%error, hint = error.hint, "cannot reload the certificate; the previous certificate stays in use");
            }
        }
    }

    /// Reloads the files whenever they change.
    pub(super) fn watch(&self) {
        self.log("TLS enabled");
        let watched = self.clone();
        tokio::spawn(async move {
            loop {
                sleep(CHECK_INTERVAL).await;
                if watched.tls.has_changed() {
                    watched.reload();
                }
            }
        });
    }

    /// Logs the expiry, and sets the metric.
    fn log(&self, message: &str) {
        let expires = self.validity().map(|(_, last)| last);
        self.expiry
            .set(expires.map_or(0, OffsetDateTime::unix_timestamp));
        let expires = expires.and_then(|expires| expires.format(&Rfc3339).ok());
        info!(expires, "{message}");
    }
}
