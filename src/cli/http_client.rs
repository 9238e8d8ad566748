//! Requests to other services over HTTP or HTTPS.

use std::{error::Error as _, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, body::Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{
    Client,
    connect::{Connect, HttpConnector},
};
use tokio::time::timeout;

use super::error::CliError;

/// Returns a connector that trusts the certificates of this system.
pub(super) fn https_connector() -> Result<HttpsConnector<HttpConnector>, CliError> {
    Ok(HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("cannot read the certificates of this machine: {error}"))?
        .https_or_http()
        .enable_http1()
        .build())
}

/// Sends a request, and reads the response with at most `max_bytes` of body. The time limit is in seconds.
pub(super) async fn fetch<C>(
    client: &Client<C, Full<Bytes>>,
    request: Request<Full<Bytes>>,
    max_bytes: usize,
    seconds: u64,
) -> Result<Response<Bytes>, String>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let fetch = async {
        let response = client.request(request).await.map_err(|error| {
            let cause = error.source().map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_bytes).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    timeout(Duration::from_secs(seconds), fetch)
        .await
        .map_err(|_| format!("{seconds} seconds have passed"))?
}
