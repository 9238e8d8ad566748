//! What systemd is told (`sd_notify(3)`), where it is systemd that started the service.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;

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
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told how the service stands");
    }
}
