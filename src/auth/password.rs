//! Passwords: hashed with Argon2id, verified exactly as they were sent.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Error as Argon2Error, phc},
};
use tokio::sync::Semaphore;
use tracing::error;

use super::random;
use crate::users::PasswordHash;

/// What a hash costs (RFC 9106). The defaults are OWASP's second choice, for small machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// Hashes and verifies passwords, off the async threads and one a core at a time.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Verified in the place of a hash that is not there, so that its absence takes as long.
    stand_in: phc::PasswordHash,
    cores: Arc<Semaphore>,
}

/// Why a password was neither accepted nor refused.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The parameters do not go together.
    #[error("Argon2 does not accept these parameters: {0}")]
    Cost(argon2::Error),
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Hashing(Argon2Error),
    /// The thread that hashed is gone.
    #[error("the hashing thread is gone")]
    Thread,
}

/// The outcome of a login attempt's hashing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not this password.
    Wrong,
    /// This password; if its hash is of another cost, here is one of the current cost.
    Right(Option<PasswordHash>),
}

impl Passwords {
    /// Passwords hashed at `cost`.
    ///
    /// # Errors
    /// When Argon2 does not accept the parameters.
    pub fn new(cost: Cost) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)
            .map_err(HashError::Cost)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self {
            stand_in: hash(&argon2, &random::bytes::<16>())?,
            argon2,
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Hashes a password that is to be stored.
    ///
    /// # Errors
    /// When Argon2 fails.
    pub async fn hash(&self, password: String) -> Result<PasswordHash, HashError> {
        let argon2 = self.argon2.clone();
        self.on_a_core(move || hash(&argon2, password.as_bytes()))
            .await
            .map(|hash| PasswordHash(hash.to_string()))
    }

    /// Verifies `password` against `stored`, or does the same work where nothing is stored.
    pub(super) async fn verify(
        &self,
        password: String,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let argon2 = self.argon2.clone();
        let stored = stored.and_then(readable);
        let usable = stored.is_some();
        let against = stored.unwrap_or_else(|| self.stand_in.clone());
        self.on_a_core(
            move || match argon2.verify_password(password.as_bytes(), &against) {
                Ok(()) if usable && is_current(&argon2, &against) => Ok(Verdict::Right(None)),
                Ok(()) if usable => {
                    let current = hash(&argon2, password.as_bytes())?;
                    Ok(Verdict::Right(Some(PasswordHash(current.to_string()))))
                }
                Ok(()) | Err(Argon2Error::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(HashError::Hashing(error)),
            },
        )
        .await
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let core = Arc::clone(&self.cores).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let _core = core;
            work()
        })
        .await
        .map_err(|_| HashError::Thread)?
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("params", self.argon2.params())
            .finish_non_exhaustive()
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<phc::PasswordHash, HashError> {
    argon2
        .hash_password_with_salt(password, &random::bytes::<16>())
        .map_err(HashError::Hashing)
}

/// The stored hash, if it is one that can be verified. Another is as good as none, and takes as long.
fn readable(stored: &PasswordHash) -> Option<phc::PasswordHash> {
    let hash = phc::PasswordHash::new(&stored.0).ok().filter(|hash| {
        Algorithm::try_from(hash.algorithm.as_str()).is_ok() && Params::try_from(hash).is_ok()
    });
    if hash.is_none() {
        error!("a stored hash cannot be read: set the account's password anew");
    }
    hash
}

/// Whether a hash is what this service would make of the same password today.
fn is_current(argon2: &Argon2<'_>, hash: &phc::PasswordHash) -> bool {
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && Params::try_from(hash).is_ok_and(|params| {
            let current = argon2.params();
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (current.m_cost(), current.t_cost(), current.p_cost())
        })
}
