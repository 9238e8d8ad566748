//! Authentication: login and refresh, with their passwords, tokens, rate limits and audit log.
//!
//! This module is independent of HTTP. [`LoginError`] and [`TokenRejection`] name the cause of a rejection for code and log;
//! the module [`api`](crate::api) maps the cause to the response of the contract.

use std::sync::Arc;

use crate::accounts::{AccountStore, DatabaseError};

mod audit;
mod client;
mod clock;
mod error;
mod hash_pool;
mod login;
mod metrics;
mod password;
mod publication;
pub mod random;
mod rate_limit;
mod refresh;
mod token;
mod verify;

use password::SchemeHistogram;

pub use audit::Audit;
pub use client::{ClientInfo, DisconnectWatcher};
pub use clock::Clock;
pub use error::{InternalError, LoginError, TokenRejection};
pub use hash_pool::{HashPoolLimits, Overloaded};
pub use login::login;
pub use metrics::AuthMetrics;
pub use password::{Argon2Params, HashError, PasswordHasher, UnsupportedHash, policy, scheme_of};
pub use rate_limit::{Quota, Quotas, RateLimited, RateLimiter, ip_bucket};
pub use refresh::refresh;
pub use token::{
    Claims, GENERATE_HINT, JWKS_MAX_AGE, Jwks, Lifetimes, PreviousSecret, PrivateKey, PublicKey,
    SIGNING_DELAY, SecretError, Secrets, ServingReplicas, TokenError, Tokens, VerifiedClaims,
    weak_secret_reason,
};
pub use verify::{ValidToken, verify, verify_for_gateway};

/// The state of authentication. A clone shares it.
#[derive(Clone, Debug)]
pub struct AuthService(Arc<AuthState>);

/// The fields of [`AuthService`].
#[derive(Debug)]
pub struct AuthState {
    /// The accounts.
    pub accounts: AccountStore,
    /// Hashes and verifies passwords.
    pub passwords: PasswordHasher,
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// Limits failed attempts.
    pub rate_limiter: RateLimiter,
    /// Writes the audit log.
    pub audit: Audit,
    /// Counts issued tokens and rejections.
    pub metrics: AuthMetrics,
    /// The time of day.
    pub clock: Clock,
}

impl From<AuthState> for AuthService {
    fn from(parts: AuthState) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for AuthService {
    type Target = AuthState;

    fn deref(&self) -> &AuthState {
        &self.0
    }
}

impl AuthService {
    /// Runs the regular maintenance: updates the dummy hash for unknown accounts, lowers counters after a clock was set back, and
    /// deletes expired counters.
    ///
    /// # Errors
    /// If the database fails. The error is the error of the first step that failed.
    pub async fn run_maintenance(&self) -> Result<(), DatabaseError> {
        let now = clock::unix_milliseconds(self.clock.now());
        // A failed step skips no other step. The dummy hash is updated first, because the cleanup may run for seconds.
        let refreshed = self.refresh_dummy_hash().await;
        let capped = self.rate_limiter.cap(&self.accounts, now).await;
        let deleted = self.accounts.delete_expired_attempts(now).await;
        refreshed.and(capped).and(deleted)
    }

    /// Gives logins without a stored hash the response time of most accounts. Imports and rehashes change that time.
    ///
    /// The method reads a sample of the stored hashes, or all hashes of a small database.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh_dummy_hash(&self) -> Result<(), DatabaseError> {
        let mut histogram = SchemeHistogram::default();
        for hash in self.accounts.sample_hashes().await? {
            histogram.count(&hash);
        }
        self.passwords.refresh_dummy_hash(histogram);
        Ok(())
    }
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The signed token.
    pub token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
}
