//! Limits of connections, and the times of the shutdown.

use std::time::Duration;

/// The time after the shutdown begins for a TLS handshake, for a request that the client sent before, and for the rest of a response.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// The time to discard input of a client that still sends after its last response. If the server closed the socket earlier, the
/// kernel would reset the connection, and the client could lose the response.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time that a connection without requests in flight stays open after the shutdown begins.
const MAX_CLOSE_TIME: Duration = SHUTDOWN_GRACE
    .saturating_mul(3)
    .saturating_add(LINGER_TIMEOUT);

/// The limit of connections of the admin listener. A gateway reuses its connections.
const ADMIN_CONNECTIONS: u32 = 256;
/// File descriptors that connections of clients do not use: for the admin listener, the database, the log and the certificate.
const RESERVED_FDS: u32 = ADMIN_CONNECTIONS + 256;

/// Limits of the connections of one listener.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The largest number of open connections. Further connections wait in the kernel's backlog.
    pub connections: u32,
    /// The largest request head, in bytes. A larger head gets a 431.
    pub max_header_bytes: usize,
    /// The time for a TLS handshake, and the time for a request head. The time for a head starts with the end of the previous
    /// request, so idle connections are closed after this time too.
    pub header_read_timeout: Duration,
    /// The time for the client to accept the next part of a response.
    pub write_timeout: Duration,
    /// The time for requests in flight after the shutdown begins.
    pub shutdown_timeout: Duration,
}

impl ConnectionLimits {
    /// Returns the limits of the admin listener, which only operators and gateways use.
    #[must_use]
    pub fn for_admin(self) -> Self {
        Self {
            connections: ADMIN_CONNECTIONS,
            shutdown_timeout: MAX_CLOSE_TIME,
            ..self
        }
    }

    /// Returns limits with no more connections than this process may open files. Raises the soft limit of open files first.
    #[must_use]
    pub fn capped_by_nofile(self) -> Self {
        let wanted = u64::from(self.connections) + u64::from(RESERVED_FDS);
        let files = rlimit::increase_nofile_limit(wanted).unwrap_or(1024);
        let available = u32::try_from(files)
            .unwrap_or(u32::MAX)
            .saturating_sub(RESERVED_FDS);
        Self {
            connections: self.connections.min(available).max(1),
            ..self
        }
    }
}
