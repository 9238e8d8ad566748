//! Every setting, with its type, default and description. The doc comments are also the help texts. `x-group` starts a group of settings.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::types::{
    AuditEmails, BoundedSeconds, ClientIpHeader, DatabaseUrl, Issuer, JwtAlgorithm, Listen,
    LogFilter, Origins, PublicUrl, Rate, Secret, SocketMode, Switch, TrustedProxies,
};

/// The settings of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address of the service: an IP address and port, `unix:PATH`, or `systemd:NAME` for a socket from systemd (`systemd`: the first socket)
    #[schemars(extend("x-group" = "Network"))]
    pub listen: Listen,
    /// Address of `/healthz`, `/readyz` and `/metrics` for operators, and of `/verify` and `/ext-authz` for gateways, in the same format. Other clients should have no access. If unset, these paths do not exist
    #[schemars(example = "127.0.0.1:9000")]
    pub admin_listen: Option<Listen>,
    /// File mode of the Unix sockets, in octal
    pub socket_mode: SocketMode,
    /// Maximum number of client connections. Further connections wait
    pub connections: NonZeroU32,
    /// Maximum size of the request line and headers, in bytes. Browsers send about 1,000 bytes
    // hyper never reads more than 417,792 bytes of a head.
    #[serde(deserialize_with = "header_bytes")]
    #[schemars(range(min = 2048, max = 409_600))]
    pub header_bytes: u32,
    /// Timeout for receiving the request line and headers. Idle connections are closed after the same time, so the idle timeout of a load balancer should be shorter
    pub header_timeout: BoundedSeconds<1>,
    /// Timeout for receiving the request body
    pub body_timeout: BoundedSeconds<1>,
    /// How long the service waits until a client accepts the next part of its response
    pub write_timeout: BoundedSeconds<1>,
    /// How long to accept connections after SIGTERM while `/readyz` of `admin_listen` already fails, so that load balancers notice
    pub stop_delay: BoundedSeconds<0>,
    /// How long to wait for requests in flight after the stop delay. The process manager must allow both times together
    pub stop_timeout: BoundedSeconds<1>,
    /// File with the certificate chain in PEM, the server's certificate first. If set, clients can connect only with TLS, and `tls_key` is required. The listener of `admin_listen` has no TLS
    #[schemars(example = "/etc/signet/tls/fullchain.pem")]
    #[schemars(extend("x-group" = "TLS"))]
    pub tls_certificate: Option<PathBuf>,
    /// File with the private key of the certificate in PEM. The service reloads both files when they change
    #[schemars(example = "/etc/signet/tls/privkey.pem")]
    pub tls_key: Option<PathBuf>,
    /// Database of the accounts: `sqlite:PATH`, `sqlite::memory:` for a temporary database, or `postgres://USER@HOST/DATABASE` with the password in PGPASSWORD
    #[schemars(extend("x-group" = "Database"))]
    pub database_url: DatabaseUrl,
    /// Maximum number of database connections. A SQLite file uses at most 4 of them. All replicas together must stay below the limit of PostgreSQL
    pub database_connections: NonZeroU32,
    /// Time limit for all database queries of a request together. After it, the response is 503 with `Retry-After`
    pub database_wait: BoundedSeconds<1, 86_400>,
    /// Secret that signs the tokens: text of at least 32 bytes. With SQLite, the service generates a secret next to the database if no secret is set
    #[schemars(extend("writeOnly" = true), example = "(64 characters of `openssl rand -hex 32`)")]
    #[schemars(extend("x-group" = "Tokens"))]
    pub jwt_secret: Option<Secret>,
    /// File with the secret that signs the tokens: text of at least 32 bytes, such as the output of `openssl rand -hex 32`. A line break at the end is ignored. All replicas need the same secret, and read it again after SIGHUP. With SQLite, the service generates a secret next to the database (`DATABASE.secret`) if no secret is set
    #[schemars(example = "/etc/signet/secret")]
    pub jwt_secret_file: Option<PathBuf>,
    /// Previous secrets, one per line. Their tokens are still accepted, with `2027-01-31T00:00:00Z SECRET` only until that time
    #[schemars(extend("writeOnly" = true), example = "2027-01-31T00:00:00Z (the secret until today)")]
    pub jwt_previous_secrets: Option<Secret>,
    /// File with the previous secrets, one per line. Tokens of these secrets are still accepted. Delete a secret when its tokens have expired, and a leaked secret immediately
    #[schemars(example = "/etc/signet/previous-secrets")]
    pub jwt_previous_secrets_file: Option<PathBuf>,
    /// Algorithm that signs the tokens: `HS256` with a secret, or `ES256` with a private key. With `ES256`, other services verify tokens with the public keys of `/.well-known/jwks.json`, and cannot sign tokens
    pub jwt_algorithm: JwtAlgorithm,
    /// File with the private keys for ES256 in PEM, one or several. The service publishes their public keys at `/.well-known/jwks.json`, and accepts their tokens also if the algorithm is `HS256`. A new key signs 12 minutes after the last live replica begins to serve its public key. The service reads the file again after SIGHUP
    #[schemars(example = "/etc/signet/keys.pem")]
    pub jwt_keys_file: Option<PathBuf>,
    /// URL for the claim `iss` of new tokens. If set, tokens of other issuers are rejected. Tokens from before the setting are accepted until they expire
    #[schemars(example = "https://auth.example.com")]
    pub jwt_issuer: Option<Issuer>,
    /// Lifetime of a token
    pub jwt_expires_in: BoundedSeconds<1>,
    /// Time after a login in which its tokens can be refreshed. An expired token cannot be refreshed
    pub jwt_refresh_window: BoundedSeconds<0>,
    /// Operation `POST /v1/auth/jwt/verify/`, with which other services check a token and its account: `on` or `off`. Gateways use `/verify` of `admin_listen` instead, which does not depend on this setting
    pub verify: Switch,
    /// Memory of a password hash (Argon2id), in KiB
    #[schemars(extend("x-group" = "Password hashing"))]
    pub argon2_memory_kib: u32,
    /// Number of passes of a password hash over its memory
    pub argon2_iterations: u32,
    /// Degree of parallelism of a password hash (the lanes of Argon2)
    pub argon2_parallelism: u32,
    /// Memory limit for all concurrent password hashes, in KiB. The default is half of the memory of the machine or cgroup
    #[schemars(example = 524_288)]
    pub hashing_memory_kib: Option<NonZeroU32>,
    /// Maximum time that a login waits in the queue until the computation of its password hash starts. A login that would wait longer gets a 503 immediately
    pub hashing_wait: BoundedSeconds<1>,
    /// Rate limit for failed logins: `on` or `off`
    #[schemars(extend("x-group" = "Rate limiting"))]
    pub throttle: Switch,
    /// Limit of failed logins for an account: `10/15m` allows 10 failed logins, and then one more every 90 seconds. All replicas share the counts
    pub throttle_account: Rate,
    /// Limit of failed logins for a client address, in the same format. All IPv6 addresses of a /64 network count as one address
    pub throttle_address: Rate,
    /// Proxies that may set the client address, `X-Request-Id` and `traceparent` of a request: IP addresses, networks, or `unix` for proxies on a Unix socket, separated by commas. Required behind a proxy, because otherwise all clients share one address and its rate limit. `::/0` trusts all addresses, so each client could choose its address
    #[schemars(example = "10.0.0.0/8,unix")]
    #[schemars(extend("x-group" = "Proxies and CORS"))]
    pub trusted_proxies: TrustedProxies,
    /// Header with the client address from a trusted proxy: `x-forwarded-for`, `forwarded` (RFC 7239), or another header in the format of `x-forwarded-for`, such as `x-real-ip`. The proxy must set the header, or append to it, in each request. The client address in other headers is ignored
    pub client_ip_header: ClientIpHeader,
    /// URL under which clients reach the service if it is behind a proxy, such as `https://host/auth`. The OpenAPI document contains this URL. The paths of the service stay the same, so the proxy must remove `/auth`
    #[schemars(example = "https://host/auth")]
    pub public_url: Option<PublicUrl>,
    /// Origins of web pages that may call the service from a browser, separated by commas, such as `https://app.example.com` or `capacitor://localhost`. Patterns are not supported
    #[schemars(example = "https://app.example.com")]
    pub cors_origins: Origins,
    /// How audit events in the log show emails: `masked` or `whole`
    #[schemars(extend("x-group" = "Logs"))]
    pub audit_emails: AuditEmails,
    /// Level of the log: `error`, `warn`, `info`, `debug` or `trace`. Levels by module are separated by commas, such as `info,signet=debug`, or `warn,audit=info`, which keeps the audit events
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
            header_bytes: 16_384,
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
            jwt_algorithm: JwtAlgorithm::Hs256,
            jwt_keys_file: None,
            jwt_issuer: None,
            jwt_expires_in: BoundedSeconds::new(3600),
            jwt_refresh_window: BoundedSeconds::new(7 * 24 * 3600),
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_parallelism: 1,
            hashing_memory_kib: None,
            hashing_wait: BoundedSeconds::new(3),
            verify: Switch::Off,
            throttle: Switch::On,
            throttle_account: Rate {
                attempts: 10,
                per: Duration::from_mins(15),
            },
            throttle_address: Rate {
                attempts: 100,
                per: Duration::from_mins(15),
            },
            trusted_proxies: TrustedProxies::default(),
            client_ip_header: ClientIpHeader::default(),
            audit_emails: AuditEmails::Masked,
            log: LogFilter::default(),
        }
    }
}

/// Parses the size of the request line and headers.
fn header_bytes<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    match u32::try_from(u64::deserialize(input)?) {
        Ok(..2048) => Err(D::Error::custom("less than 2048 bytes")),
        Ok(bytes @ ..=409_600) => Ok(bytes),
        _ => Err(D::Error::custom("more than 409600 bytes")),
    }
}
