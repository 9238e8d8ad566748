//! What systemd is told (`sd_notify(3)`), where it is systemd that started the service.

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

/// For the database to be closed, and the last traces to be sent.
const TO_CLOSE: Duration = Duration::from_secs(10);

/// Clients can connect.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("Serving")]);
}

/// What is read anew is being read. [`ready`] ends it.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(
        &[NotifyState::Reloading]
            .into_iter()
            .chain(now)
            .collect::<Vec<_>>(),
    );
}

/// It is the end, and the requests in flight are waited for: for so long, and no longer.
pub(super) fn stopping(within: Duration) {
    let microseconds = u32::try_from((within + TO_CLOSE).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(microseconds),
        NotifyState::Status("Finishing the requests in flight"),
    ]);
}

/// Shows again and again that the runtime runs tasks, if the unit asks for that (`WatchdogSec=`).
pub(super) fn keep_alive() {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        loop {
            tell(&[NotifyState::Watchdog]);
            sleep(interval / 3).await;
        }
    });
}

fn tell(states: &[NotifyState<'_>]) {
    let socket = environment().get("NOTIFY_SOCKET").cloned().flatten();
    let sent = match socket.as_deref().and_then(|name| name.strip_prefix('@')) {
        Some(name) => send_to_abstract(name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = sent {
        warn!(%error, "systemd cannot be told how the service stands");
    }
}

/// Sends to a socket in the abstract namespace, whose name begins with `@` (`sd_notify(3)`). The crate `sd_notify` supports only paths.
fn send_to_abstract(name: &str, states: &[NotifyState<'_>]) -> io::Result<()> {
    let states: Vec<_> = states.iter().map(ToString::to_string).collect();
    let message = states.join("\n");
    let address = SocketAddr::from_abstract_name(name)?;
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(drop)
}
