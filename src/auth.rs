//! Obtain and refresh, as plain functions over accounts, passwords, tokens and a clock.
//!
//! Nothing here knows of HTTP. A request that is refused gets a `Refusal` that tells the cause, for
//! the code and the log; what the wire says of it is decided in `api`.

use std::{sync::Arc, time::Duration};

use crate::accounts::{self, DatabaseError, Users};

mod audit;
mod client;
mod clock;
mod hash_pool;
mod login;
mod metrics;
mod password;
pub mod random;
mod rate_limit;
mod refresh;
mod token;

use password::Tally;

pub use audit::Audit;
pub use client::{ClientInfo, DisconnectWatcher};
pub use clock::Clock;
pub use hash_pool::{Busy, HashPoolLimits};
pub use login::{LoginError, login};
pub use metrics::AuthMetrics;
pub use password::{Argon2Params, HashError, PasswordHasher, UnsupportedHash, policy, scheme_of};
pub use rate_limit::{Quota, Quotas, RateLimited, RateLimiter, bucket};
pub use refresh::{RefreshError, refresh};
pub use token::{
    Claims, Lifetimes, PreviousSecret, SecretTooShort, Secrets, TokenError, Tokens, VerifiedClaims,
    weak_secret_reason,
};

/// What obtain and refresh work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthService(Arc<AuthState>);

/// The parts of [`AuthService`].
#[derive(Debug)]
pub struct AuthState {
    /// The accounts.
    pub users: Users,
    /// Hashes and verifies passwords.
    pub passwords: PasswordHasher,
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// Makes those wait who fail too often.
    pub throttle: RateLimiter,
    /// Writes the audit trail.
    pub audit: Audit,
    /// Counts tokens.
    pub meter: AuthMetrics,
    /// Tells the time.
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
    /// Runs the regular maintenance: updates the stand-in hash for unknown accounts, lowers counters after a
    /// clock was set back, and deletes expired counters.
    ///
    /// # Errors
    /// When the database does not answer. The error is that of the first step that failed.
    pub async fn run_maintenance(&self) -> Result<(), DatabaseError> {
        let now = clock::milliseconds(self.clock.now());
        // A failed step skips no other step. The defense against timing does not wait for the cleanup, which may take seconds.
        let matched = self.refresh_dummy_hash().await;
        let capped = self.throttle.cap(&self.users, now).await;
        let forgiven = self.users.forgive_settled(now).await;
        matched.and(capped).and(forgiven)
    }

    /// Sees to it that a login for which there is no hash takes as long as one of most accounts: those that
    /// were imported, or rehashed at their login, change what that is.
    ///
    /// It reads every hash where they are few; where they are many, so many of them from all over, since each
    /// replica does this.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh_dummy_hash(&self) -> Result<(), DatabaseError> {
        let mut tally = Tally::default();
        for hash in self.users.sample().await? {
            tally.count(&hash);
        }
        self.passwords.stand_in_for_most(tally);
        Ok(())
    }
}

/// A token that was issued.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The signed token.
    pub token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
}

/// How long an outage lasts, where nobody knows.
const OUTAGE: Duration = Duration::from_secs(5);

/// A fault of our own: nothing that the client sent is to blame.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The database did not answer.
    #[error("database: {0}")]
    Database(#[from] DatabaseError),
    /// A password could not be hashed, or a stored hash not be read.
    #[error("password: {0}")]
    Password(#[from] HashError),
}

impl InternalError {
    /// The same in a word, for what is measured.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Password(HashError::Busy(_)) => "busy",
            Self::Password(_) => "hashing",
        }
    }

    /// When the same request may well succeed, if waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Database(error) => accounts::is_temporary(error).then_some(OUTAGE),
            Self::Password(HashError::Busy(busy)) => Some(busy.wait),
            Self::Password(_) => None,
        }
    }
}
