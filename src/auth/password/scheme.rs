//! The schemes of stored hashes that the service verifies, and the cost of each.
//!
//! All schemes but the first belong to imported accounts. The first successful login of an account replaces its hash.
//!
//! | format | written by |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$output` | this service (a PHC string) |
//! | `argon2$argon2id$v=19$m=…,t=…,p=…$salt$output` | Django |
//! | `pbkdf2_sha256$iterations$salt$output`, `pbkdf2_sha1$…` | Django, by default |
//! | `bcrypt_sha256$$2b$12$…`, `bcrypt$$2b$12$…` | Django; the second uses 72 bytes of a password |
//! | `scrypt$N$salt$r$p$output` | Django |

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::HEXLOWER;
use hmac::Hmac;
use pbkdf2::pbkdf2;
use scrypt::scrypt;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::error::HashError;
use crate::auth::hash_pool::{HashAlgorithm, HashCost};

/// The bytes of a password that bcrypt uses, the final null character included.
const BCRYPT_KEY_LEN: usize = 72;

/// A hash function with its parameters and its salt. Salts are decoded.
#[derive(Clone)]
pub(super) enum Scheme {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        digest: Pbkdf2Digest,
        iterations: u32,
        salt: Vec<u8>,
    },
    Bcrypt {
        /// Whether the password is hashed with SHA-256 first, because bcrypt uses 72 bytes only.
        prehashed: bool,
        cost: u32,
        salt: [u8; 16],
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pbkdf2Digest {
    Sha1,
    Sha256,
}

impl Scheme {
    /// Returns Django's name of the scheme.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Argon2 { .. } => "argon2",
            Self::Pbkdf2 {
                digest: Pbkdf2Digest::Sha1,
                ..
            } => "pbkdf2_sha1",
            Self::Pbkdf2 {
                digest: Pbkdf2Digest::Sha256,
                ..
            } => "pbkdf2_sha256",
            Self::Bcrypt {
                prehashed: true, ..
            } => "bcrypt_sha256",
            Self::Bcrypt {
                prehashed: false, ..
            } => "bcrypt",
            Self::Scrypt { .. } => "scrypt",
        }
    }

    /// Returns the cost of one hash, and so of rejecting a password.
    pub(super) fn cost(&self) -> HashCost {
        match self {
            Self::Argon2 { params, .. } => {
                let kib = params.block_count() as u64;
                let passes = u64::from(params.t_cost());
                HashCost::new(HashAlgorithm::Argon2, kib, kib.saturating_mul(passes))
            }
            Self::Pbkdf2 {
                digest, iterations, ..
            } => {
                let algorithm = match digest {
                    Pbkdf2Digest::Sha1 => HashAlgorithm::Pbkdf2Sha1,
                    Pbkdf2Digest::Sha256 => HashAlgorithm::Pbkdf2Sha256,
                };
                HashCost::new(algorithm, 0, u64::from(*iterations))
            }
            Self::Bcrypt { cost, .. } => HashCost::new(HashAlgorithm::Bcrypt, 0, 1 << cost),
            Self::Scrypt { log_n, r, p, .. } => {
                // RFC 7914 section 6: N blocks of 128 r bytes, mixed p times, and p more blocks.
                let (r, p) = (u64::from(*r), u64::from(*p));
                let kib = (r << log_n).div_ceil(8);
                let lanes = r.saturating_mul(p).div_ceil(8);
                HashCost::new(
                    HashAlgorithm::Scrypt,
                    kib.saturating_add(lanes),
                    kib.saturating_mul(p),
                )
            }
        }
    }

    /// Hashes `password` into `output`. Argon2 uses `blocks` as its memory.
    pub(super) fn compute(
        &self,
        password: &str,
        blocks: &mut [Block],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        let password = password.as_bytes();
        match self {
            Self::Argon2 {
                algorithm,
                version,
                params,
                salt,
            } => {
                let blocks = &mut blocks[..params.block_count()];
                Argon2::new(*algorithm, *version, params.clone())
                    .hash_password_into_with_memory(password, salt, output, blocks)
                    .map_err(HashError::failed)
            }
            Self::Pbkdf2 {
                digest,
                iterations,
                salt,
            } => match digest {
                Pbkdf2Digest::Sha1 => pbkdf2::<Hmac<Sha1>>(password, salt, *iterations, output),
                Pbkdf2Digest::Sha256 => pbkdf2::<Hmac<Sha256>>(password, salt, *iterations, output),
            }
            .map_err(HashError::failed),
            Self::Bcrypt {
                prehashed,
                cost,
                salt,
            } => {
                let mut key = if *prehashed {
                    HEXLOWER.encode(&Sha256::digest(password)).into_bytes()
                } else {
                    password.to_vec()
                };
                key.push(0);
                key.truncate(BCRYPT_KEY_LEN);
                // The encoded form omits the last byte.
                let hash = bcrypt::bcrypt(*cost, *salt, &key);
                output.copy_from_slice(&hash[..output.len()]);
                Ok(())
            }
            Self::Scrypt { log_n, r, p, salt } => scrypt::Params::new(*log_n, *r, *p)
                .map_err(HashError::failed)
                .and_then(|params| {
                    scrypt(password, salt, &params, output).map_err(HashError::failed)
                }),
        }
    }
}
