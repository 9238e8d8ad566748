//! The certificate of the settings: loaded, told about, and read anew when its files change.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::sleep;
use tracing::{error, info};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

use super::error::CliError;
use crate::{config::Settings, server::ReloadableTls};

/// How often the files are looked at.
const GLANCE: Duration = Duration::from_secs(1);

/// What clients are shown, and until when it is good. Cheap to clone.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) tls: Arc<ReloadableTls>,
    /// In Unix seconds, for operators.
    pub(super) expiry: Gauge,
}

impl Certificate {
    /// That of the settings, if they ask for TLS.
    pub(super) fn load(settings: &Settings) -> Result<Option<Self>, CliError> {
        let Some((certificate, key)) = settings.tls_files() else {
            return Ok(None);
        };
        let tls = ReloadableTls::load(certificate, key).map_err(|error| error.to_string())?;
        Ok(Some(Self {
            tls: Arc::new(tls),
            expiry: Gauge::default(),
        }))
    }

    /// Its first and its last second, if these can be told.
    pub(super) fn validity(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let leaf = self.tls.leaf();
        let (_, certificate) = parse_x509_certificate(&leaf).ok()?;
        let instant = |time: ASN1Time| OffsetDateTime::from_unix_timestamp(time.timestamp()).ok();
        let validity = certificate.validity();
        Some((instant(validity.not_before)?, instant(validity.not_after)?))
    }

    /// Reads the files anew. What cannot be used changes nothing.
    pub(super) fn reload(&self) {
        match self.tls.reload() {
            Ok(()) => self.tell("read the certificate anew"),
            Err(error) => error!(%error, "the certificate stays as it was"),
        }
    }

    /// Reads the files anew whenever they change.
    pub(super) fn watch(&self) {
        self.tell("clients are served over TLS alone");
        let watched = self.clone();
        tokio::spawn(async move {
            loop {
                sleep(GLANCE).await;
                if watched.tls.has_changed() {
                    watched.reload();
                }
            }
        });
    }

    fn tell(&self, message: &str) {
        let expires = self.validity().map(|(_, last)| last);
        self.expiry
            .set(expires.map_or(0, OffsetDateTime::unix_timestamp));
        let expires = expires.and_then(|expires| expires.format(&Rfc3339).ok());
        info!(expires, "{message}");
    }
}
