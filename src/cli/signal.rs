//! Signals of the operator and of the system that runs the service.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;

/// Done on the next SIGTERM or SIGINT, which from now on end nothing by themselves.
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

/// Every signal of this kind from now on.
pub(super) fn on(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}").into())
}
