//! Every setting, with its type, default and description. The doc comments are also the help texts.

use std::{num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{
    AuditEmails, BoundedBytes, BoundedSeconds, ClientIpHeader, DatabaseUrl, Listen, LogFilter,
    Origins, PublicUrl, Rate, Secret, SocketMode, Throttling, TrustedProxies,
};

/// The settings of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to listen: an address and port, `unix:PATH`, or `systemd:NAME` for a socket of socket activation (`systemd`: the first)
    pub listen: Listen,
    /// Where `/healthz`, `/readyz` and `/metrics` are, for operators alone. There are none unless it is set
    #[schemars(example = "127.0.0.1:9000")]
    pub admin_listen: Option<Listen>,
    /// Mode of the Unix sockets, in octal: who may connect
    pub socket_mode: SocketMode,
    /// File with the certificate, and those between it and its root, in PEM. With it, clients are served over TLS alone
    #[schemars(example = "/etc/signet/tls/fullchain.pem")]
    pub tls_certificate: Option<PathBuf>,
    /// File with the key of the certificate, in PEM. Both are read anew when they change
    #[schemars(example = "/etc/signet/tls/privkey.pem")]
    pub tls_key: Option<PathBuf>,
    /// Origins of web pages that may call the service from a browser, with commas between, such as `https://app.example.com` or `capacitor://localhost`. Each matches exactly; patterns are rejected
    #[schemars(example = "https://app.example.com")]
    pub cors_origins: Origins,
    /// Connections of clients at once; further ones wait
    pub connections: NonZeroU32,
    /// The largest head of a request, in bytes; browsers send some 1,000, and the server can read 409,600
    // hyper never reads more than 417,792 bytes of a head.
    pub header_bytes: BoundedBytes<2048, 409_600>,
    /// Time for the whole head of a request; a connection that is idle for so long is closed
    pub header_timeout: BoundedSeconds<1>,
    /// Time for the whole body of a request
    pub body_timeout: BoundedSeconds<1>,
    /// Time for a client to take the next piece of an answer
    pub write_timeout: BoundedSeconds<1>,
    /// Time from a signal to stop, when `/readyz` begins to fail, to the last connection that is accepted: what a load balancer takes to notice
    pub stop_delay: BoundedSeconds<0>,
    /// Time after that for the requests in flight
    pub stop_timeout: BoundedSeconds<1>,
    /// Where the accounts are: `sqlite:PATH`, `sqlite::memory:` for a database that ends with the process, or `postgres://USER@HOST/DATABASE`
    pub database_url: DatabaseUrl,
    /// Connections to the database at once, of which a SQLite file gets no more than 4. Those of all replicas together must be fewer than PostgreSQL allows
    pub database_connections: NonZeroU32,
    /// Time limit for all database queries of one request together; a request that would exceed it gets a 503 with `Retry-After`
    pub database_wait: BoundedSeconds<1, 86_400>,
    /// Secret that signs the tokens, at least 32 bytes. On SQLite one is made beside the database if none is set
    #[schemars(extend("writeOnly" = true), example = "(64 characters of `openssl rand -hex 32`)")]
    pub jwt_secret: Option<Secret>,
    /// File that holds the secret; one line break at its end does not count
    #[schemars(example = "/etc/signet/secret")]
    pub jwt_secret_file: Option<PathBuf>,
    /// Earlier secrets whose tokens are still taken, one a line; `2027-01-31T00:00:00Z SECRET` is taken until then
    #[schemars(extend("writeOnly" = true), example = "2027-01-31T00:00:00Z (the secret until today)")]
    pub jwt_previous_secrets: Option<Secret>,
    /// File that holds the earlier secrets, one a line
    #[schemars(example = "/etc/signet/previous-secrets")]
    pub jwt_previous_secrets_file: Option<PathBuf>,
    /// URL at which clients reach the service, for documents behind a proxy, such as `https://host/auth`
    #[schemars(example = "https://host/auth")]
    pub public_url: Option<PublicUrl>,
    /// Time from the issue of a token to its expiry
    pub jwt_expires_in: BoundedSeconds<1>,
    /// Time from a login to the last refresh of its tokens
    pub jwt_refresh_window: BoundedSeconds<0>,
    /// Memory of a password hash (Argon2id), in KiB
    pub argon2_memory_kib: u32,
    /// Passes of a password hash over its memory
    pub argon2_iterations: u32,
    /// Lanes of a password hash
    pub argon2_parallelism: u32,
    /// Memory for all password hashes at once, in KiB. By default half of what the machine or its cgroup has
    #[schemars(example = 524_288)]
    pub hashing_memory_kib: Option<NonZeroU32>,
    /// Time that a login may wait for its hash; one that would wait longer is told so at once
    pub hashing_wait: BoundedSeconds<1>,
    /// `off` lets everybody fail as often as they like
    pub throttle: Throttling,
    /// Failed logins of one account that are let through at once, and the time in which they are forgiven
    pub throttle_account: Rate,
    /// The same for one client address: an IPv4 address or an IPv6 network of 64 bits
    pub throttle_address: Rate,
    /// Proxies that may set the client's address, the `X-Request-Id` and the `traceparent` of a request: addresses, networks, or `unix` for proxies on a Unix socket, with commas between. An IPv6 network that contains `::ffff:0:0/96`, such as `::/0`, contains all IPv4 addresses
    #[schemars(example = "10.0.0.0/8,unix")]
    pub trusted_proxies: TrustedProxies,
    /// Header in which the proxies send the client's address: `x-forwarded-for`, `forwarded` (RFC 7239), or another header with the format of the first, such as `x-real-ip`. All other headers are ignored
    pub client_ip_header: ClientIpHeader,
    /// How e-mails stand in the audit trail: `masked`, or `whole`
    pub audit_emails: AuditEmails,
    /// What is logged: a tracing filter, such as `info` or `signet=debug`
    pub log: LogFilter,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin_listen: None,
            socket_mode: SocketMode(0o660),
            tls_certificate: None,
            tls_key: None,
            cors_origins: Origins::default(),
            connections: NonZeroU32::new(16_384).expect("not zero"),
            header_bytes: BoundedBytes::new(16_384),
            header_timeout: BoundedSeconds::new(30),
            body_timeout: BoundedSeconds::new(10),
            write_timeout: BoundedSeconds::new(30),
            stop_delay: BoundedSeconds::new(0),
            stop_timeout: BoundedSeconds::new(30),
            database_url: DatabaseUrl("sqlite:data/signet.db".to_owned()),
            database_connections: NonZeroU32::new(8).expect("not zero"),
            database_wait: BoundedSeconds::new(3),
            jwt_secret: None,
            jwt_secret_file: None,
            jwt_previous_secrets: None,
            jwt_previous_secrets_file: None,
            public_url: None,
            jwt_expires_in: BoundedSeconds::new(3600),
            jwt_refresh_window: BoundedSeconds::new(7 * 24 * 3600),
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_parallelism: 1,
            hashing_memory_kib: None,
            hashing_wait: BoundedSeconds::new(3),
            throttle: Throttling::On,
            throttle_account: "10/15m".parse().expect("valid rate"),
            throttle_address: "100/15m".parse().expect("valid rate"),
            trusted_proxies: TrustedProxies::default(),
            client_ip_header: ClientIpHeader::default(),
            audit_emails: AuditEmails::Masked,
            log: LogFilter::default(),
        }
    }
}
