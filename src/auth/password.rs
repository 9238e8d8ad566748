//! Passwords: hashed with Argon2id, verified exactly as they were sent.

use std::{fmt, io};

use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use tracing::error;

use super::{
    admission::{Admission, Budget, Busy, Weight},
    random,
};
use crate::users::PasswordHash;

/// The most that a stored hash may cost, in KiB and in passes: far above what Django and OWASP advise, and
/// far below what would stop the service.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 64;

/// Of a salt, in bytes (RFC 9106 section 3.1).
const SALT: usize = 16;
/// Of a hash, in bytes.
const OUTPUT: usize = 32;

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

/// Hashes and verifies passwords, as admission lets it.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Verified in the place of a hash that is not there, so that its absence takes as long.
    stand_in: phc::PasswordHash,
    admission: Admission,
}

/// Why a password was neither accepted nor refused.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The parameters do not go together.
    #[error("Argon2 does not accept these parameters: {0}")]
    Cost(argon2::Error),
    /// A hash cannot be written down.
    #[error("a hash cannot be written down: {0}")]
    Form(argon2::password_hash::Error),
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Hashing(argon2::Error),
    /// The system starts no threads to hash on.
    #[error("cannot start the threads that hash: {0}")]
    Threads(io::Error),
    /// There is more to hash than can be hashed in time.
    #[error(transparent)]
    Busy(#[from] Busy),
}

/// The outcome of a login attempt's hashing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not this password.
    Wrong,
    /// This password.
    Right {
        /// Its hash is of another cost than today's.
        stale: bool,
    },
}

impl Passwords {
    /// Passwords hashed at `cost`, within `budget`.
    ///
    /// # Errors
    /// When Argon2 does not accept the parameters, or no threads can be started.
    pub fn new(cost: Cost, budget: Budget) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)
            .map_err(HashError::Cost)?;
        let admission = Admission::start(budget, weight(&params)).map_err(HashError::Threads)?;
        // Nobody knows its password, so that nobody needs to have hashed it.
        let stand_in = assemble(
            &params,
            &random::bytes::<SALT>(),
            &random::bytes::<OUTPUT>(),
        )?;
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            stand_in,
            admission,
        })
    }

    /// Hashes a password that is to be stored.
    ///
    /// # Errors
    /// When Argon2 fails, or its turn does not come in time.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, HashError> {
        let salt = random::bytes::<SALT>();
        let output = self
            .compute(self.argon2.clone(), password, salt.to_vec(), OUTPUT)
            .await?;
        let hash = assemble(self.argon2.params(), &salt, &output)?;
        Ok(PasswordHash(hash.to_string()))
    }

    /// Verifies `password` against `stored`, or does the same work where nothing is stored.
    pub(super) async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let stored = stored.and_then(Stored::read);
        let usable = stored.is_some();
        let against = stored.or_else(|| Stored::of(&self.stand_in));
        let against = against.ok_or(HashError::Hashing(argon2::Error::AlgorithmInvalid))?;
        let length = against.output.len();
        let is_current = against.is_current(self.argon2.params());
        let argon2 = Argon2::new(against.algorithm, against.version, against.params);
        let computed = self.compute(argon2, password, against.salt, length).await?;
        // `Output` compares in constant time.
        let matches = phc::Output::new(&computed).is_ok_and(|computed| computed == against.output);
        Ok(if matches && usable {
            Verdict::Right { stale: !is_current }
        } else {
            Verdict::Wrong
        })
    }

    async fn compute(
        &self,
        argon2: Argon2<'static>,
        password: &str,
        salt: Vec<u8>,
        length: usize,
    ) -> Result<Vec<u8>, HashError> {
        let password = password.to_owned();
        let weight = weight(argon2.params());
        let work = move |blocks: &mut [Block]| {
            let mut output = vec![0; length];
            let blocks = &mut blocks[..argon2.params().block_count()];
            argon2
                .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, blocks)
                .map(|()| output)
        };
        self.admission
            .run(weight, work)
            .await?
            .map_err(HashError::Hashing)
    }
}

/// A stored hash, taken apart.
struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: phc::Output,
}

impl Stored {
    /// A stored hash, if it is one that can be verified. Another is as good as none, and takes as long.
    fn read(hash: &PasswordHash) -> Option<Self> {
        let stored = phc::PasswordHash::new(&hash.0)
            .ok()
            .and_then(|hash| Self::of(&hash));
        if stored.is_none() {
            error!("a stored hash cannot be read: set the account's password anew");
        }
        stored
    }

    fn of(hash: &phc::PasswordHash) -> Option<Self> {
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash
            .version
            .map_or(Ok(Version::default()), Version::try_from)
            .ok()?;
        let params = Params::try_from(hash).ok()?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return None;
        }
        Some(Self {
            algorithm,
            version,
            params,
            salt: hash.salt?.as_ref().to_vec(),
            output: hash.hash?,
        })
    }

    /// Whether this is what the service would make of the same password today.
    fn is_current(&self, current: &Params) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        self.algorithm == Algorithm::Argon2id
            && self.version == Version::V0x13
            && self.output.len() == OUTPUT
            && cost(&self.params) == cost(current)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("params", self.argon2.params())
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

fn weight(params: &Params) -> Weight {
    let memory_kib = params.block_count();
    Weight {
        memory_kib: u32::try_from(memory_kib).unwrap_or(u32::MAX),
        work: memory_kib as u64 * u64::from(params.t_cost()),
    }
}

fn assemble(params: &Params, salt: &[u8], output: &[u8]) -> Result<phc::PasswordHash, HashError> {
    let unwritable = |error: phc::Error| HashError::Form(error.into());
    Ok(phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(HashError::Form)?,
        salt: Some(phc::Salt::new(salt).map_err(unwritable)?),
        hash: Some(phc::Output::new(output).map_err(unwritable)?),
    })
}
