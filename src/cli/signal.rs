//! Signals from the operator, or from the system that runs the service.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;

/// Returns a future that completes on the next SIGTERM or SIGINT. From now on, these signals no longer end the process.
pub(super) fn stop() -> Result<impl Future<Output = ()>, CliError> {
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Returns a stream of the signals of this kind.
pub(super) fn on(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}").into())
}
