//! Every setting: its name, type, default and description, stated once, at its field.
//!
//! A setting `jwt_expires_in` is that key of the configuration file, the environment variable
//! `SIGNET_JWT_EXPIRES_IN` and the flag `--jwt-expires-in`; of these, the later wins. Secrets have no flag:
//! other users of a machine can read those.

use std::{num::NonZeroU32, path::PathBuf};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod duration;
mod file;
mod layers;
mod list;
mod listen;
mod machine;
mod meant;
mod read;
mod sample;
mod secret;
mod value;

pub use duration::Seconds;
pub use file::DEFAULT_FILE;
pub use layers::CONFIG;
pub use list::{Networks, Origins};
pub use listen::{Listen, Mode};
pub use machine::memory_kib;
pub use read::{Environment, Problem, Read, Shown, environment, read};
pub use sample::{sample, schema};
pub use secret::{DatabaseUrl, Secret};
pub use value::{AuditEmails, Bytes, ClientIpHeader, LogFilter, PublicUrl, Rate, Throttling};

const PREFIX: &str = "SIGNET_";

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
    pub socket_mode: Mode,
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
    // hyper reads no more than 417,792 bytes of a head, whatever its limit is.
    pub header_bytes: Bytes<2048, 409_600>,
    /// Time for the whole head of a request; a connection that is idle for so long is closed
    pub header_timeout: Seconds<1>,
    /// Time for the whole body of a request
    pub body_timeout: Seconds<1>,
    /// Time for a client to take the next piece of an answer
    pub write_timeout: Seconds<1>,
    /// Time from a signal to stop, when `/readyz` begins to fail, to the last connection that is accepted: what a load balancer takes to notice
    pub stop_delay: Seconds<0>,
    /// Time after that for the requests in flight
    pub stop_timeout: Seconds<1>,
    /// Where the accounts are: `sqlite:PATH`, `sqlite::memory:` for a database that ends with the process, or `postgres://USER@HOST/DATABASE`
    pub database_url: DatabaseUrl,
    /// Connections to the database at once, of which a SQLite file gets no more than 4. Those of all replicas together must be fewer than PostgreSQL allows
    pub database_connections: NonZeroU32,
    /// Time limit for all database queries of one request together; a request that would exceed it gets a 503 with `Retry-After`
    pub database_wait: Seconds<1, 86_400>,
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
    pub jwt_expires_in: Seconds<1>,
    /// Time from a login to the last refresh of its tokens
    pub jwt_refresh_window: Seconds<0>,
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
    pub hashing_wait: Seconds<1>,
    /// `off` lets everybody fail as often as they like
    pub throttle: Throttling,
    /// Failed logins of one account that are let through at once, and the time in which they are forgiven
    pub throttle_account: Rate,
    /// The same for one client address: an IPv4 address or an IPv6 network of 64 bits
    pub throttle_address: Rate,
    /// Proxies that may set the client's address, the `X-Request-Id` and the `traceparent` of a request: addresses, networks, or `unix` for proxies on a Unix socket, with commas between. An IPv6 network that contains `::ffff:0:0/96`, such as `::/0`, contains all IPv4 addresses
    #[schemars(example = "10.0.0.0/8,unix")]
    pub trusted_proxies: Networks,
    /// Header in which the proxies send the client's address: `x-forwarded-for`, `forwarded` (RFC 7239), or another header with the format of the first, such as `x-real-ip`. All other headers are ignored
    pub client_ip_header: ClientIpHeader,
    /// How e-mails stand in the audit trail: `masked`, or `whole`
    pub audit_emails: AuditEmails,
    /// What is logged: a tracing filter, such as `info` or `signet=debug`
    pub log: LogFilter,
}

impl Settings {
    /// Whether the audit trail writes e-mails out.
    #[must_use]
    pub fn audit_whole_emails(&self) -> bool {
        self.audit_emails == AuditEmails::Whole
    }

    /// Where clients reach the service, if that was set.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_ref().map(PublicUrl::as_str)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin_listen: None,
            socket_mode: Mode(0o660),
            tls_certificate: None,
            tls_key: None,
            cors_origins: Origins::default(),
            connections: NonZeroU32::new(16_384).expect("it is not 0"),
            header_bytes: Bytes::new(16_384),
            header_timeout: Seconds::new(30),
            body_timeout: Seconds::new(10),
            write_timeout: Seconds::new(30),
            stop_delay: Seconds::new(0),
            stop_timeout: Seconds::new(30),
            database_url: DatabaseUrl("sqlite:data/signet.db".to_owned()),
            database_connections: NonZeroU32::new(8).expect("it is not 0"),
            database_wait: Seconds::new(3),
            jwt_secret: None,
            jwt_secret_file: None,
            jwt_previous_secrets: None,
            jwt_previous_secrets_file: None,
            public_url: None,
            jwt_expires_in: Seconds::new(3600),
            jwt_refresh_window: Seconds::new(7 * 24 * 3600),
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_parallelism: 1,
            hashing_memory_kib: None,
            hashing_wait: Seconds::new(3),
            throttle: Throttling::On,
            throttle_account: "10/15m".parse().expect("it is a rate"),
            throttle_address: "100/15m".parse().expect("it is a rate"),
            trusted_proxies: Networks::default(),
            client_ip_header: ClientIpHeader::default(),
            audit_emails: AuditEmails::Masked,
            log: LogFilter::default(),
        }
    }
}

/// One setting, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The field of [`Settings`].
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Its default, if it has one.
    pub default: Option<String>,
    /// Whether its value may be seen: a secret has no flag.
    pub secret: bool,
    /// A value that it may have, where there is no default.
    example: Value,
    numeric: bool,
    /// Whether a file may have it as an array.
    list: bool,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        PREFIX.to_owned() + &self.name.to_uppercase()
    }

    /// Whether a part of it, at least, may be a secret.
    fn may_hold_secrets(&self) -> bool {
        self.secret || self.name == "database_url"
    }

    /// The flag, without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// Every setting, in the order of the fields.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let schema = described();
    let defaults = as_map(&Settings::default());
    let properties = schema["properties"].as_object().into_iter().flatten();
    // `["integer", "null"]` where there is no default.
    let is_a = |schema: &Value, kind| schema["type"].to_string().contains(kind);
    properties
        .map(|(name, schema)| Setting {
            name: name.clone(),
            about: schema["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            default: match &defaults[name] {
                Value::Null => None,
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
            secret: schema["writeOnly"] == true,
            example: match &defaults[name] {
                Value::Null => schema["examples"][0].clone(),
                Value::String(text) if text.is_empty() => schema["examples"][0].clone(),
                default => default.clone(),
            },
            numeric: is_a(schema, "integer"),
            list: is_a(schema, "array"),
        })
        .collect()
}

/// The schema of the settings, each in one piece.
fn described() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<Settings>()
        .to_value()
}

fn as_map(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("settings are an object"),
    }
}
