//! Every setting: its name, type, default and description, stated once, at its field.
//!
//! A setting `jwt_expires_in` is the environment variable `SIGNET_JWT_EXPIRES_IN` and the flag
//! `--jwt-expires-in`; a flag wins. Secrets have no flag: other users of a machine can read those.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod machine;
mod read;
mod value;

pub use machine::memory_kib;
pub use read::{Environment, Problem, Read, environment, read};
pub use value::{AuditEmails, DatabaseUrl, Networks, PublicUrl, Rate, Secret, Throttling};

const PREFIX: &str = "SIGNET_";

/// The settings of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on
    pub listen: SocketAddr,
    /// Address and port of `/healthz`, `/readyz` and `/metrics`, for operators alone. There are none unless it is set
    pub admin_listen: Option<SocketAddr>,
    /// Seconds from a signal to stop, when `/readyz` begins to fail, to the last connection that is accepted: what a load balancer takes to notice
    pub stop_delay: u32,
    /// Where the accounts are: `sqlite:PATH`, `sqlite::memory:` for a database that ends with the process, or `postgres://USER@HOST/DATABASE`
    pub database_url: DatabaseUrl,
    /// Connections to the database at once. Those of all replicas together must be fewer than it allows
    pub database_connections: NonZeroU32,
    /// Seconds that one query waits for the database; a request whose query would wait longer is told to try again
    pub database_wait: NonZeroU32,
    /// Secret that signs the tokens, at least 32 bytes. On SQLite one is made beside the database if none is set
    #[schemars(extend("writeOnly" = true))]
    pub jwt_secret: Option<Secret>,
    /// File that holds the secret; one line break at its end does not count
    pub jwt_secret_file: Option<PathBuf>,
    /// Earlier secrets whose tokens are still taken, one a line; `2027-01-31T00:00:00Z SECRET` is taken until then
    #[schemars(extend("writeOnly" = true))]
    pub jwt_previous_secrets: Option<Secret>,
    /// File that holds the earlier secrets, one a line
    pub jwt_previous_secrets_file: Option<PathBuf>,
    /// URL at which clients reach the service, for documents behind a proxy, such as `https://host/auth`
    pub public_url: Option<PublicUrl>,
    /// Seconds from the issue of a token to its expiry
    pub jwt_expires_in: NonZeroU32,
    /// Seconds from a login to the last refresh of its tokens
    pub jwt_refresh_window: u32,
    /// Memory of a password hash (Argon2id), in KiB
    pub argon2_memory_kib: u32,
    /// Passes of a password hash over its memory
    pub argon2_iterations: u32,
    /// Lanes of a password hash
    pub argon2_parallelism: u32,
    /// Memory for all password hashes at once, in KiB. By default half of what the machine or its cgroup has
    pub hashing_memory_kib: Option<NonZeroU32>,
    /// Seconds that a login may wait for its hash; one that would wait longer is told so at once
    pub hashing_wait: NonZeroU32,
    /// `off` lets everybody fail as often as they like
    pub throttle: Throttling,
    /// Failed logins of one account that are let through at once, and the time in which they are forgiven
    pub throttle_account: Rate,
    /// The same for one client address: an IPv4 address or an IPv6 network of 64 bits
    pub throttle_address: Rate,
    /// Proxies whose `Forwarded` or `X-Forwarded-For` is believed: addresses or networks, with commas between
    pub trusted_proxies: Networks,
    /// How e-mails stand in the audit trail: `masked`, or `whole`
    pub audit_emails: AuditEmails,
    /// What is logged: a tracing filter, such as `info` or `signet=debug`
    pub log: String,
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
            listen: (Ipv4Addr::LOCALHOST, 8000).into(),
            admin_listen: None,
            stop_delay: 0,
            database_url: DatabaseUrl("sqlite:data/signet.db".to_owned()),
            database_connections: NonZeroU32::new(8).expect("it is not 0"),
            database_wait: NonZeroU32::new(3).expect("it is not 0"),
            jwt_secret: None,
            jwt_secret_file: None,
            jwt_previous_secrets: None,
            jwt_previous_secrets_file: None,
            public_url: None,
            jwt_expires_in: NonZeroU32::new(3600).expect("it is not 0"),
            jwt_refresh_window: 7 * 24 * 3600,
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_parallelism: 1,
            hashing_memory_kib: None,
            hashing_wait: NonZeroU32::new(3).expect("it is not 0"),
            throttle: Throttling::On,
            throttle_account: "10/15m".parse().expect("it is a rate"),
            throttle_address: "100/15m".parse().expect("it is a rate"),
            trusted_proxies: Networks::default(),
            audit_emails: AuditEmails::Masked,
            log: "info".to_owned(),
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
    numeric: bool,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        PREFIX.to_owned() + &self.name.to_uppercase()
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
    let schema = schemars::schema_for!(Settings).to_value();
    let defaults = as_map(&Settings::default());
    let properties = schema["properties"].as_object().into_iter().flatten();
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
            // `["integer", "null"]` where there is no default.
            numeric: schema["type"].to_string().contains("integer"),
        })
        .collect()
}

fn as_map(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("settings are an object"),
    }
}
