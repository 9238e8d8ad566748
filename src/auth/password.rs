//! Hashes passwords with Argon2id, and verifies them against stored hashes, imported hashes included.

use std::{collections::HashMap, fmt, future::pending, hint::black_box, sync::Arc};

use argon2::{Algorithm, Params, Version, password_hash::phc};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use tracing::{Instrument, debug_span, error, info};

use super::{
    hash_pool::{HashCost, HashPool, HashPoolLimits},
    random,
};
use crate::accounts::PasswordHash;

mod error;
mod parsed_hash;
pub mod policy;
mod scheme;

pub use error::HashError;
use parsed_hash::ParsedHash;
pub use parsed_hash::UnsupportedHash;
use scheme::Scheme;

/// Length of a salt, in bytes (RFC 9106 section 3.1).
const SALT_LEN: usize = 16;
/// Length of a hash, in bytes.
const OUTPUT_LEN: usize = 32;

/// The bucket of hashes for operators.
const OPERATOR: &str = "";

/// The parameters of new hashes (RFC 9106). The defaults of the settings are OWASP's second choice, for small machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// Hashes and verifies passwords in the hash pool.
pub struct PasswordHasher {
    params: Params,
    /// Verified if an account has no hash, so that the response times are equal.
    dummy_hash: RwLock<Arc<ParsedHash>>,
    /// Parsed if an account has no hash, so that the response times are equal.
    dummy_phc: PasswordHash,
    pool: HashPool,
}

/// Whether a password matches a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verification {
    /// The password is wrong, or there is no usable hash.
    Mismatch,
    /// The password is right.
    Match {
        /// Whether the hash has another scheme or other parameters than new hashes.
        needs_rehash: bool,
    },
}

/// Counts stored hashes by cost, and keeps one example of each.
#[derive(Default)]
pub(super) struct SchemeHistogram(HashMap<HashCost, (u64, ParsedHash)>);

impl SchemeHistogram {
    /// Counts a stored hash. Unsupported hashes are ignored.
    pub(super) fn count(&mut self, hash: &PasswordHash) {
        if let Ok(stored) = ParsedHash::parse(&hash.0) {
            self.0.entry(stored.cost()).or_insert((0, stored)).0 += 1;
        }
    }
}

impl PasswordHasher {
    /// Creates a hasher with these parameters of new hashes.
    ///
    /// # Errors
    /// If Argon2 rejects the parameters, one hash would exceed a limit, or no thread can be started.
    pub fn new(cost: Argon2Params, limits: HashPoolLimits) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)
            .map_err(HashError::Argon2Params)?;
        // The output is random, so no password matches.
        let dummy_hash = ParsedHash {
            scheme: scheme(&params, random::bytes::<SALT_LEN>()),
            output: output(&random::bytes::<OUTPUT_LEN>())?,
        };
        // New hashes are verified at later logins.
        if dummy_hash.is_too_costly() {
            return Err(HashError::CostTooHigh);
        }
        let memory_kib = dummy_hash.cost().memory_kib;
        if memory_kib > limits.memory_kib {
            return Err(HashError::Memory { memory_kib });
        }
        let pool = HashPool::start(limits, dummy_hash.cost()).map_err(HashError::Threads)?;
        let dummy_phc = encode(&params, &random::bytes::<SALT_LEN>(), dummy_hash.output)?;
        Ok(Self {
            params,
            dummy_phc,
            dummy_hash: RwLock::new(Arc::new(dummy_hash)),
            pool,
        })
    }

    /// Hashes a new password for an operator.
    ///
    /// # Errors
    /// If Argon2 fails, or the queue is too long.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, HashError> {
        self.hash_for(OPERATOR, password).await
    }

    /// Hashes a new password for a client of this bucket.
    pub(super) async fn hash_for(
        &self,
        bucket: &str,
        password: &str,
    ) -> Result<PasswordHash, HashError> {
        let salt = random::bytes::<SALT_LEN>();
        let scheme = scheme(&self.params, salt);
        let output = self
            .compute(scheme, password, OUTPUT_LEN, bucket, pending())
            .await?;
        encode(&self.params, &salt, output)
    }

    /// Verifies `password` against `stored`. Without a usable hash, the method does the same work with a dummy hash.
    ///
    /// # Errors
    /// If hashing fails, the queue is too long, or the client has `disconnected` before the hash starts.
    pub(super) async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
        bucket: &str,
        disconnected: impl Future<Output = ()>,
    ) -> Result<Verification, HashError> {
        if stored.is_none() {
            drop(black_box(ParsedHash::parse(&self.dummy_phc.0)));
        }
        let stored = stored.and_then(|hash| match ParsedHash::parse(&hash.0) {
            Ok(stored) => Some(Arc::new(stored)),
            Err(error) => {
                error!(
                    %error,
                    hint = "set a new password for the account",
                    "cannot verify a stored hash"
                );
                None
            }
        });
        let is_usable = stored.is_some();
        let against = stored.unwrap_or_else(|| self.dummy_hash());
        let needs_rehash = !against.is_current(&self.params, OUTPUT_LEN);
        let computed = self
            .compute(
                against.scheme.clone(),
                password,
                against.output.len(),
                bucket,
                disconnected,
            )
            .await?;
        Ok(if computed == against.output && is_usable {
            Verification::Match { needs_rehash }
        } else {
            Verification::Mismatch
        })
    }

    /// Makes the dummy hash as costly as most stored hashes.
    pub(super) fn refresh_dummy_hash(&self, histogram: SchemeHistogram) {
        let most_common = histogram
            .0
            .into_values()
            // Of two equally common schemes, the scheme of new hashes wins, because its share grows.
            .max_by_key(|(count, stored)| (*count, stored.is_current(&self.params, OUTPUT_LEN)));
        let Some(dummy_hash) = most_common
            .filter(|(_, stored)| stored.cost() != self.dummy_hash().cost())
            .and_then(|(_, stored)| stored.with_random_output())
        else {
            return;
        };
        info!(scheme = dummy_hash.scheme.name(), "dummy hash updated");
        *self.dummy_hash.write() = Arc::new(dummy_hash);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        self.pool.register_metrics(registry);
    }

    fn dummy_hash(&self) -> Arc<ParsedHash> {
        Arc::clone(&self.dummy_hash.read())
    }

    async fn compute(
        &self,
        scheme: Scheme,
        password: &str,
        length: usize,
        bucket: &str,
        disconnected: impl Future<Output = ()>,
    ) -> Result<phc::Output, HashError> {
        let (password, cost) = (password.to_owned(), scheme.cost());
        let hash = move |blocks: &mut [_]| {
            let mut bytes = [0; phc::Output::MAX_LENGTH];
            let bytes = &mut bytes[..length];
            scheme.compute(&password, blocks, bytes)?;
            output(bytes)
        };
        let hashed = self.pool.run(cost, bucket, disconnected, hash);
        let hashed = hashed.instrument(debug_span!("hash")).await?;
        hashed.ok_or(HashError::ClientDisconnected)?
    }
}

/// Returns the name of the scheme of a hash.
///
/// # Errors
/// If the service does not verify such a hash.
pub fn scheme_of(hash: &PasswordHash) -> Result<&'static str, UnsupportedHash> {
    ParsedHash::parse(&hash.0).map(|stored| stored.scheme.name())
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher")
            .field("params", &self.params)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Returns the scheme of new hashes.
fn scheme(params: &Params, salt: [u8; SALT_LEN]) -> Scheme {
    Scheme::Argon2 {
        algorithm: Algorithm::Argon2id,
        version: Version::V0x13,
        params: params.clone(),
        salt: salt.to_vec(),
    }
}

/// Encodes a new hash as a PHC string.
fn encode(params: &Params, salt: &[u8], output: phc::Output) -> Result<PasswordHash, HashError> {
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(HashError::failed)?,
        salt: Some(phc::Salt::new(salt).map_err(HashError::failed)?),
        hash: Some(output),
    };
    Ok(PasswordHash(hash.to_string()))
}

fn output(bytes: &[u8]) -> Result<phc::Output, HashError> {
    phc::Output::new(bytes).map_err(HashError::failed)
}
