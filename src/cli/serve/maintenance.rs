//! Periodic maintenance.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::warn;

use crate::auth::AuthService;

/// The shortest pause between two runs.
const INTERVAL: Duration = Duration::from_mins(10);
/// The pause is at least this many times the duration of the last run, so that maintenance uses at most one percent of a core.
const PAUSE_FACTOR: u32 = 100;

/// Starts a task that runs maintenance periodically.
pub(super) fn spawn_maintenance(auth: &AuthService) -> JoinHandle<()> {
    let auth = auth.clone();
    tokio::spawn(async move {
        loop {
            let started = Instant::now();
            if let Err(error) = auth.run_maintenance().await {
                warn!(%error, "maintenance failed; response times may reveal whether an account exists");
            }
            sleep((started.elapsed() * PAUSE_FACTOR).max(INTERVAL)).await;
        }
    })
}
