//! The signals that stop the service.

use tracing::warn;

use crate::cli::{error::CliError, log, signal};

/// Completes on the first SIGTERM or SIGINT. After the second signal, the process exits without waiting for requests.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    let first = signal::stop()?;
    Ok(async move {
        first.await;
        let second = signal::stop();
        tokio::spawn(async move {
            let Ok(second) = second else { return };
            second.await;
            warn!("second signal received; stopping immediately");
            log::flush();
            std::process::exit(1);
        });
    })
}
