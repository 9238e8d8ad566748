//! The limits of connections in the settings.

use tracing::warn;

use crate::{config::Settings, server::ConnectionLimits};

/// Returns the limits of the settings. Warns if this process may open too few files for the configured connections.
pub(super) fn capped_limits(settings: &Settings) -> ConnectionLimits {
    let configured = settings.connection_limits();
    let limits = configured.capped_by_nofile(settings.admin_listen.is_some());
    if limits.connections < configured.connections {
        warn!(
            connections = limits.connections,
            configured = configured.connections,
            hint = "raise LimitNOFILE or `ulimit -n`, or lower SIGNET_CONNECTIONS",
            "too few file descriptors for the configured connections"
        );
    }
    limits
}
