//! Periodic tasks: maintenance, and the publication of keys.

use std::{convert::Infallible, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::{error, warn};

use super::REVOKED_HINT;
use crate::{accounts::operator_hint, auth::AuthService};

/// The shortest pause between two runs.
const INTERVAL: Duration = Duration::from_mins(10);
/// The pause is at least this many times the duration of the last run, so that maintenance uses at most one percent of a core.
const PAUSE_FACTOR: u32 = 100;
/// The pause between two publications. [`Jwks`](crate::auth::Jwks) may be cached only if the last publication was in the last minute.
const PUBLICATION_INTERVAL: Duration = Duration::from_secs(20);

/// Starts a task that runs maintenance and publications periodically.
pub(super) fn spawn_maintenance(auth: &AuthService) -> JoinHandle<()> {
    let auth = auth.clone();
    tokio::spawn(async move {
        tokio::join!(maintain(&auth), renew_publication(&auth));
    })
}

async fn maintain(auth: &AuthService) -> Infallible {
    loop {
        let started = Instant::now();
        if let Err(error) = auth.run_maintenance().await {
            warn!(%error, "maintenance failed; response times may reveal whether an account exists");
        }
        sleep((started.elapsed() * PAUSE_FACTOR).max(INTERVAL)).await;
    }
}

async fn renew_publication(auth: &AuthService) -> Infallible {
    loop {
        sleep(PUBLICATION_INTERVAL).await;
        if let Err(error) = auth.renew_publication().await {
            let hint = operator_hint(&error);
            warn!(%error, hint, "cannot renew the publication of the keys");
        }
        if auth.tokens.signs_with_revoked_key() {
            let hint = REVOKED_HINT;
            error!(
                hint,
                "every key in SIGNET_JWT_KEYS_FILE is revoked; services reject new tokens"
            );
        }
    }
}
