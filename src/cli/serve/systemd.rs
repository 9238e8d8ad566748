//! Notifies systemd of the state of the service (`sd_notify(3)`), if systemd started the service.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;

use crate::config::environment;

/// The time to close the database and to send the last traces.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients can connect.
pub(super) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("Serving")]);
}

/// The service reloads its secrets and certificate. Call [`ready`] afterwards.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    notify(
        &[NotifyState::Reloading]
            .into_iter()
            .chain(now)
            .collect::<Vec<_>>(),
    );
}

/// The service finishes the requests in flight, within this time.
pub(super) fn stopping(within: Duration) {
    let microseconds = u32::try_from((within + CLOSE_TIMEOUT).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(microseconds),
        NotifyState::Status("Finishing the requests in flight"),
    ]);
}

/// Notifies systemd periodically that the runtime runs tasks, if the unit sets `WatchdogSec=`.
pub(super) fn spawn_watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        loop {
            notify(&[NotifyState::Watchdog]);
            sleep(interval / 3).await;
        }
    });
}

fn notify(states: &[NotifyState<'_>]) {
    let socket = environment().get("NOTIFY_SOCKET").cloned().flatten();
    let sent = match socket.as_deref().and_then(|name| name.strip_prefix('@')) {
        Some(name) => notify_abstract_socket(name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = sent {
        warn!(%error, "cannot notify systemd");
    }
}

/// Sends to a socket in the abstract namespace, whose name begins with `@` (`sd_notify(3)`). The crate `sd_notify` supports only paths.
fn notify_abstract_socket(name: &str, states: &[NotifyState<'_>]) -> io::Result<()> {
    let states: Vec<_> = states.iter().map(ToString::to_string).collect();
    let message = states.join("\n");
    let address = SocketAddr::from_abstract_name(name)?;
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(drop)
}
