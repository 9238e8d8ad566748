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

/// The largest number of connections of the admin listener. A gateway keeps connections open for all its workers.
const MAX_ADMIN_CONNECTIONS: u32 = 1024;
/// The part of the file descriptors that the admin listener may use.
const ADMIN_SHARE: u32 = 8;
/// File descriptors that connections do not use: for the database, the log and the certificate.
const RESERVED_FDS: u32 = 320;

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
        let share = self.increased_nofile() / ADMIN_SHARE;
        Self {
            connections: MAX_ADMIN_CONNECTIONS.min(share).max(1),
            shutdown_timeout: MAX_CLOSE_TIME,
            ..self
        }
    }

    /// Returns limits with no more connections than this process may open files. Raises the soft limit of open files first.
    #[must_use]
    pub fn capped_by_nofile(self, has_admin: bool) -> Self {
        let admin = if has_admin {
            self.for_admin().connections
        } else {
            0
        };
        let available = self
            .increased_nofile()
            .saturating_sub(RESERVED_FDS)
            .saturating_sub(admin);
        Self {
            connections: self.connections.min(available).max(1),
            ..self
        }
    }

    /// Raises the soft limit of open files, and returns the limit.
    fn increased_nofile(self) -> u32 {
        let others = u64::from(RESERVED_FDS + MAX_ADMIN_CONNECTIONS);
        let wanted = u64::from(self.connections) + others;
        let files = rlimit::increase_nofile_limit(wanted).unwrap_or(1024);
        u32::try_from(files).unwrap_or(u32::MAX)
    }
}
