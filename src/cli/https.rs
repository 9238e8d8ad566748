//! Connections to other services, over HTTP or HTTPS.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use super::error::CliError;

/// Trusts whom this machine trusts.
pub(super) fn connector() -> Result<HttpsConnector<HttpConnector>, CliError> {
    Ok(HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("cannot read the certificates of this machine: {error}"))?
        .https_or_http()
        .enable_http1()
        .build())
}
