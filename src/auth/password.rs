//! Passwords: hashed with Argon2id, verified exactly as they were sent, also against hashes that were imported.

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    hint::black_box,
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use argon2::{
    Algorithm, Params, Version,
    password_hash::{self, phc},
};
use prometheus_client::registry::Registry;
use tracing::{Instrument, debug_span, error, info};

use super::{
    hash_pool::{Admission, Busy, HashPoolLimits, Weight},
    random,
};
use crate::accounts::PasswordHash;

mod parsed_hash;
pub mod policy;
mod scheme;

use parsed_hash::ParsedHash;
pub use parsed_hash::UnsupportedHash;
use scheme::Scheme;

/// Of a salt, in bytes (RFC 9106 section 3.1).
const SALT: usize = 16;
/// Of a hash, in bytes.
const OUTPUT: usize = 32;

/// The bucket of hashes that no client asks for.
const OPERATOR: &str = "";

/// What a hash costs (RFC 9106). The defaults are OWASP's second choice, for small machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// Hashes and verifies passwords, as admission lets it.
pub struct PasswordHasher {
    params: Params,
    /// Verified in the place of a hash that is not there, so that its absence takes as long.
    stand_in: RwLock<Arc<ParsedHash>>,
    /// Read in the place of a hash that is not there: that takes a moment, too.
    written: PasswordHash,
    admission: Admission,
}

/// Why a password was neither accepted nor refused.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The parameters do not go together.
    #[error("Argon2 does not accept these parameters: {0}")]
    Argon2Params(argon2::Error),
    /// A hash would take more than any that is verified.
    #[error("one hash would take more than 1 GiB of memory or five seconds of a core")]
    CostTooHigh,
    /// The budget has no room for one hash.
    #[error(
        "one hash takes {memory_kib} KiB of memory, and SIGNET_HASHING_MEMORY_KIB has no room for it"
    )]
    Memory {
        /// What it takes.
        memory_kib: u32,
    },
    /// A hash cannot be written down.
    #[error("a hash cannot be written down: {0}")]
    Form(password_hash::Error),
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Hashing(argon2::Error),
    /// A scheme does not take its own parameters.
    #[error("hashing failed: the parameters do not go together")]
    Unfit,
    /// The system starts no threads to hash on.
    #[error("cannot start the threads that hash: {0}")]
    Threads(io::Error),
    /// There is more to hash than can be hashed in time.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Nobody waits for it any more.
    #[error("the client has gone")]
    ClientDisconnected,
}

/// The outcome of a login attempt's hashing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not this password.
    Wrong,
    /// This password.
    Right {
        /// Its hash is of another scheme or cost than today's.
        stale: bool,
    },
}

/// How many hashes there are of each scheme and cost, with one of them.
#[derive(Default)]
pub(super) struct Tally(HashMap<Weight, (u64, ParsedHash)>);

impl Tally {
    /// Counts a stored hash, if it is one that is verified.
    pub(super) fn count(&mut self, hash: &PasswordHash) {
        if let Ok(stored) = ParsedHash::read(&hash.0) {
            self.0.entry(stored.weight()).or_insert((0, stored)).0 += 1;
        }
    }
}

impl PasswordHasher {
    /// Hashes at `cost`, within `budget`.
    ///
    /// # Errors
    /// When Argon2 does not accept the parameters, or no threads can be started.
    pub fn new(cost: Argon2Params, budget: HashPoolLimits) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)
            .map_err(HashError::Argon2Params)?;
        // Nobody knows its password, so that nobody needs to have hashed it.
        let stand_in = ParsedHash {
            scheme: scheme(&params, random::bytes::<SALT>()),
            output: output(&random::bytes::<OUTPUT>())?,
        };
        // What is made today must be verified tomorrow.
        if stand_in.is_too_dear() {
            return Err(HashError::CostTooHigh);
        }
        let memory_kib = stand_in.weight().memory_kib;
        if memory_kib > budget.memory_kib {
            return Err(HashError::Memory { memory_kib });
        }
        let admission = Admission::start(budget, stand_in.weight()).map_err(HashError::Threads)?;
        let written = written(&params, &random::bytes::<SALT>(), stand_in.output)?;
        Ok(Self {
            params,
            written,
            stand_in: RwLock::new(Arc::new(stand_in)),
            admission,
        })
    }

    /// Hashes a password that is to be stored.
    ///
    /// # Errors
    /// When Argon2 fails, or its turn does not come in time.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, HashError> {
        self.hash_for(OPERATOR, password).await
    }

    /// The same for a client of this bucket.
    pub(super) async fn hash_for(
        &self,
        bucket: &str,
        password: &str,
    ) -> Result<PasswordHash, HashError> {
        let salt = random::bytes::<SALT>();
        let scheme = scheme(&self.params, salt);
        let output = self
            .compute(scheme, password, OUTPUT, bucket, pending())
            .await?;
        written(&self.params, &salt, output)
    }

    /// How long a client that finished sending stays in the queue.
    pub(super) fn grace(&self) -> Duration {
        self.admission.grace()
    }

    /// Verifies `password` against `stored`, or does the same work where nothing is stored, unless the client has
    /// `left` before its turn comes.
    pub(super) async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
        bucket: &str,
        left: impl Future<Output = ()>,
    ) -> Result<Verdict, HashError> {
        if stored.is_none() {
            drop(black_box(ParsedHash::read(&self.written.0)));
        }
        let stored = stored.and_then(|hash| match ParsedHash::read(&hash.0) {
            Ok(stored) => Some(Arc::new(stored)),
            // It is as good as none, and takes as long.
            Err(error) => {
                error!("a stored hash is not verified: {error}. Set the account's password anew");
                None
            }
        });
        let usable = stored.is_some();
        let against = stored.unwrap_or_else(|| self.stand_in());
        let stale = !against.is_current(&self.params, OUTPUT);
        let computed = self
            .compute(
                against.scheme.clone(),
                password,
                against.output.len(),
                bucket,
                left,
            )
            .await?;
        Ok(if computed == against.output && usable {
            Verdict::Right { stale }
        } else {
            Verdict::Wrong
        })
    }

    /// From now on, what is not there takes as long as most of what was counted.
    pub(super) fn stand_in_for_most(&self, tally: Tally) {
        let most = tally
            .0
            .into_values()
            // Of two that are as many, today's: more and more accounts have it.
            .max_by_key(|(count, stored)| (*count, stored.is_current(&self.params, OUTPUT)));
        let Some(stand_in) = most
            .filter(|(_, stored)| stored.weight() != self.stand_in().weight())
            .and_then(|(_, stored)| stored.without_password())
        else {
            return;
        };
        info!(
            scheme = stand_in.scheme.name(),
            "unknown e-mails are refused in the time of most accounts"
        );
        let place = self.stand_in.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Arc::new(stand_in);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        self.admission.meter.register(registry);
    }

    fn stand_in(&self) -> Arc<ParsedHash> {
        let stand_in = self.stand_in.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&stand_in)
    }

    async fn compute(
        &self,
        scheme: Scheme,
        password: &str,
        length: usize,
        bucket: &str,
        left: impl Future<Output = ()>,
    ) -> Result<phc::Output, HashError> {
        let (password, weight) = (password.to_owned(), scheme.weight());
        let hash = move |blocks: &mut [_]| {
            let mut bytes = [0; phc::Output::MAX_LENGTH];
            let bytes = &mut bytes[..length];
            scheme.compute(&password, blocks, bytes)?;
            output(bytes)
        };
        let hashed = self.admission.run(weight, bucket, left, hash);
        let hashed = hashed.instrument(debug_span!("hash")).await?;
        hashed.ok_or(HashError::ClientDisconnected)?
    }
}

/// Which scheme a hash is of, or why it is not verified.
///
/// # Errors
/// When it is not verified.
pub fn scheme_of(hash: &PasswordHash) -> Result<&'static str, UnsupportedHash> {
    ParsedHash::read(&hash.0).map(|stored| stored.scheme.name())
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher")
            .field("params", &self.params)
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

/// What the service makes of a password today.
fn scheme(params: &Params, salt: [u8; SALT]) -> Scheme {
    Scheme::Argon2 {
        algorithm: Algorithm::Argon2id,
        version: Version::V0x13,
        params: params.clone(),
        salt: salt.to_vec(),
    }
}

/// As it is stored.
fn written(params: &Params, salt: &[u8], output: phc::Output) -> Result<PasswordHash, HashError> {
    let unwritable = |error: phc::Error| HashError::Form(error.into());
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(HashError::Form)?,
        salt: Some(phc::Salt::new(salt).map_err(unwritable)?),
        hash: Some(output),
    };
    Ok(PasswordHash(hash.to_string()))
}

fn output(bytes: &[u8]) -> Result<phc::Output, HashError> {
    phc::Output::new(bytes).map_err(|error| HashError::Form(error.into()))
}
