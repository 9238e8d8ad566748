//! The certificate of the settings: loaded, told about, and read anew when its files change.

use std::{sync::Arc, time::Duration};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::sleep;
use tracing::{error, info};
use x509_parser::parse_x509_certificate;

use super::Failure;
use crate::{config::Settings, server::Tls};

/// How often the files are looked at.
const GLANCE: Duration = Duration::from_secs(1);

/// What clients are shown, if the settings ask for TLS.
pub(super) fn load(settings: &Settings) -> Result<Option<Arc<Tls>>, Failure> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else {
        return Ok(None);
    };
    let tls = Tls::load(certificate, key).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(tls)))
}

/// The last second of a certificate, if it can be told.
pub(super) fn expiry(tls: &Tls) -> Option<OffsetDateTime> {
    let leaf = tls.leaf();
    let (_, certificate) = parse_x509_certificate(&leaf).ok()?;
    let last = certificate.validity().not_after.timestamp();
    OffsetDateTime::from_unix_timestamp(last).ok()
}

/// Reads the files anew. What cannot be used changes nothing.
pub(super) fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(()) => told(tls, "read the certificate anew"),
        Err(error) => error!(%error, "the certificate stays as it was"),
    }
}

/// Reads the files anew whenever they change.
pub(super) fn watch(tls: &Arc<Tls>) {
    told(tls, "clients are served over TLS alone");
    let tls = Arc::clone(tls);
    tokio::spawn(async move {
        loop {
            sleep(GLANCE).await;
            if tls.has_changed() {
                reload(&tls);
            }
        }
    });
}

fn told(tls: &Tls, message: &str) {
    let expires = expiry(tls).and_then(|expires| expires.format(&Rfc3339).ok());
    info!(expires, "{message}");
}
