//! Converts settings to the types of other modules.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    thread,
};

use tracing::warn;

use super::{
    settings::Settings,
    system,
    types::{self, AuditEmails, JwtAlgorithm, PublicUrl, Switch},
};
use crate::{
    accounts::{DatabaseUrl, Limits},
    api::{Document, Operations, PublicKeys},
    auth::{Argon2Params, Audit, HashPoolLimits, Lifetimes, Quota, Quotas, RateLimiter},
    http::{AppConfig, BodyLimits, Proxies},
    problem::Problem,
    server::ConnectionLimits,
};

impl Settings {
    /// Returns the kind and the place of the database.
    ///
    /// # Errors
    /// If this build does not support the scheme of the URL, or the URL is invalid.
    pub fn database_location(&self) -> Result<DatabaseUrl, Problem> {
        DatabaseUrl::parse(self.database_url.as_str())
    }

    /// Returns the limits of a command for the database. The database does not cancel long statements of commands.
    #[must_use]
    pub fn database_limits(&self) -> Limits {
        Limits {
            connections: self.database_connections,
            wait: self.database_wait.duration(),
            enforce_statement_timeout: false,
        }
    }

    /// Returns the parameters of password hashes.
    #[must_use]
    pub fn argon2_params(&self) -> Argon2Params {
        Argon2Params {
            memory_kib: self.argon2_memory_kib,
            iterations: self.argon2_iterations,
            parallelism: self.argon2_parallelism,
        }
    }

    /// Returns the limits of all password hashes together. By default, half of the memory of this system or cgroup.
    #[must_use]
    pub fn hash_limits(&self) -> HashPoolLimits {
        let half_of_memory = || {
            let half = system::memory_kib().map(|kib| kib / 2);
            half.and_then(|kib| u32::try_from(kib).ok())
                .unwrap_or(u32::MAX)
        };
        HashPoolLimits {
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory_kib: self
                .hashing_memory_kib
                .map_or_else(half_of_memory, NonZeroU32::get),
            wait: self.hashing_wait.duration(),
        }
    }

    /// Returns the limits of failed logins, also if they are off.
    #[must_use]
    pub fn rate_limits(&self) -> Quotas {
        let rate = |rate: types::Rate| Quota {
            attempts: rate.attempts,
            per: rate.per,
        };
        Quotas {
            account: rate(self.throttle_account),
            address: rate(self.throttle_address),
        }
    }

    /// Returns the limiter of failed logins. Logs a warning if the limits are off.
    #[must_use]
    pub fn throttle(&self) -> RateLimiter {
        let rates = match self.throttle {
            Switch::On => Some(self.rate_limits()),
            Switch::Off => {
                warn!("rate limiting is off; passwords can be guessed without limit");
                None
            }
        };
        RateLimiter::new(rates)
    }

    /// Returns the lifetimes of tokens in seconds.
    #[must_use]
    pub fn token_lifetimes(&self) -> Lifetimes {
        Lifetimes {
            expires_in: self.jwt_expires_in.get().into(),
            refresh_window: self.jwt_refresh_window.get().into(),
        }
    }

    /// Returns the claim `iss` of new tokens.
    #[must_use]
    pub fn issuer(&self) -> Option<String> {
        let issuer = self.jwt_issuer.as_ref();
        issuer.map(|issuer| issuer.as_str().to_owned())
    }

    /// Returns the options of the audit trail.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit {
            whole_emails: self.audit_emails == AuditEmails::Whole,
        }
    }

    /// Returns the files of the certificate and its key.
    #[must_use]
    pub fn tls_files(&self) -> Option<(&Path, &Path)> {
        self.tls_certificate.as_deref().zip(self.tls_key.as_deref())
    }

    /// Returns the operations of the service.
    #[must_use]
    pub fn operations(&self) -> Operations {
        match self.verify {
            Switch::On => Operations::WithVerify,
            Switch::Off => Operations::Contract,
        }
    }

    /// Returns the OpenAPI document of the service.
    #[must_use]
    pub fn document(&self) -> Document {
        Document::build(self.operations(), self.public_url(), self.token_lifetimes())
            .with_keys(self.public_keys())
            .with_issuer(self.jwt_issuer.is_some())
    }

    /// Returns how the service uses keys for ES256.
    #[must_use]
    pub fn public_keys(&self) -> PublicKeys {
        match (&self.jwt_keys_file, self.jwt_algorithm) {
            (_, JwtAlgorithm::Es256) => PublicKeys::Sign,
            (Some(_), JwtAlgorithm::Hs256) => PublicKeys::Published,
            (None, JwtAlgorithm::Hs256) => PublicKeys::Absent,
        }
    }

    /// Returns the URL at which clients reach the service.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_ref().map(PublicUrl::as_str)
    }

    /// Returns the trusted proxies and their header.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        Proxies {
            networks: self.trusted_proxies.networks.clone(),
            unix: self.trusted_proxies.unix,
            header: self.client_ip_header.name().clone(),
        }
    }

    /// Returns the options of the HTTP application that come from settings.
    #[must_use]
    pub fn app_config(&self) -> AppConfig {
        AppConfig {
            operations: self.operations(),
            keys: self.public_keys(),
            limits: BodyLimits {
                read_timeout: self.body_timeout.duration(),
                ..BodyLimits::default()
            },
            proxies: self.proxies(),
            cors_origins: self.cors_origins.0.clone(),
            public_url: self.public_url().map(str::to_owned),
            ..AppConfig::default()
        }
    }

    /// Returns the limits of connections of clients.
    #[must_use]
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.connections.get(),
            max_header_bytes: self.header_bytes as usize,
            header_read_timeout: self.header_timeout.duration(),
            write_timeout: self.write_timeout.duration(),
            shutdown_timeout: self.stop_timeout.duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{BoundedSeconds, Settings};

    #[test]
    fn limits_have_the_values_of_their_settings() {
        let settings = Settings {
            connections: 7.try_into().unwrap(),
            header_bytes: 8192,
            header_timeout: BoundedSeconds::new(1),
            body_timeout: BoundedSeconds::new(2),
            write_timeout: BoundedSeconds::new(3),
            stop_timeout: BoundedSeconds::new(4),
            ..Settings::default()
        };
        let limits = settings.connection_limits();
        assert_eq!((limits.connections, limits.max_header_bytes), (7, 8192));
        let times = [
            limits.header_read_timeout,
            settings.app_config().limits.read_timeout,
            limits.write_timeout,
            limits.shutdown_timeout,
        ];
        assert_eq!(times, [1, 2, 3, 4].map(Duration::from_secs));
    }
}
