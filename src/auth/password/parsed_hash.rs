//! Parses stored hashes.

use argon2::{Algorithm, Params, Version, password_hash::phc};
use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

use super::scheme::{Pbkdf2Digest, Scheme};
use crate::auth::{hash_pool::HashCost, random};

/// The limits of one stored hash, in KiB of memory and milliseconds of one CPU core. Both are far above the advice of Django and OWASP,
/// and low enough that one login does not stop the service.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_MILLISECONDS: u64 = 5000;

/// Lengths of the outputs that Django writes, in bytes.
const SHA1_LEN: usize = 20;
const SHA256_LEN: usize = 32;
const SCRYPT_LEN: usize = 64;
const BCRYPT_LEN: usize = 23;

/// The base64 alphabet of bcrypt. Some writers leave random trailing bits.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Weak schemes of Django up to version 5.1, which the service does not verify.
const WEAK_SCHEMES: [&str; 6] = [
    "sha1",
    "md5",
    "unsalted_sha1",
    "unsalted_md5",
    "crypt",
    "sha512",
];

/// A stored hash that the service can verify.
#[derive(Clone)]
pub(super) struct ParsedHash {
    pub(super) scheme: Scheme,
    /// `==` compares outputs in constant time.
    pub(super) output: phc::Output,
}

/// The service does not verify this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedHash {
    /// The scheme is too weak.
    #[error("the scheme {0} is too weak")]
    WeakScheme(&'static str),
    /// The hash exceeds the limits of memory or time.
    #[error("the hash takes more than 1 GiB of memory or five seconds of a core")]
    CostTooHigh,
    /// The format is unknown.
    #[error("the scheme is unknown")]
    Unknown,
}

impl ParsedHash {
    /// Parses a stored hash.
    pub(super) fn parse(text: &str) -> Result<Self, UnsupportedHash> {
        let stored = Self::parse_any_cost(text).ok_or_else(|| unsupported(text))?;
        if stored.is_too_costly() {
            return Err(UnsupportedHash::CostTooHigh);
        }
        Ok(stored)
    }

    pub(super) fn is_too_costly(&self) -> bool {
        let cost = self.cost();
        cost.memory_kib > MAX_MEMORY_KIB
            || cost.nominal_time().as_millis() > MAX_MILLISECONDS.into()
    }

    fn parse_any_cost(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('$')?;
        match name {
            "" => Self::from_phc(&phc::PasswordHash::new(text).ok()?),
            "argon2" => Self::from_phc(&phc::PasswordHash::new(&text[name.len()..]).ok()?),
            "pbkdf2_sha256" => Self::pbkdf2(Pbkdf2Digest::Sha256, SHA256_LEN, rest),
            "pbkdf2_sha1" => Self::pbkdf2(Pbkdf2Digest::Sha1, SHA1_LEN, rest),
            "bcrypt_sha256" => Self::bcrypt(true, rest),
            "bcrypt" => Self::bcrypt(false, rest),
            "scrypt" => Self::scrypt(rest),
            _ => None,
        }
    }

    fn from_phc(hash: &phc::PasswordHash) -> Option<Self> {
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash
            .version
            // Hashes of version 1.0 of Argon2 have no version. Old releases of Django write such hashes.
            .map_or(Ok(Version::V0x10), Version::try_from)
            .ok()?;
        let params = Params::try_from(hash).ok()?;
        let scheme = Scheme::Argon2 {
            algorithm,
            version,
            params,
            salt: hash.salt?.as_ref().to_vec(),
        };
        let output = hash.hash?;
        Some(Self { scheme, output })
    }

    fn pbkdf2(digest: Pbkdf2Digest, length: usize, rest: &str) -> Option<Self> {
        let [iterations, salt, output] = fields(rest)?;
        let scheme = Scheme::Pbkdf2 {
            digest,
            iterations: number(iterations)?,
            salt: salt.into(),
        };
        Self::with(scheme, STANDARD.decode(output).ok()?, length)
    }

    /// The format is `$2b$12$`, 22 characters of salt, and 31 characters of output.
    fn bcrypt(prehashed: bool, rest: &str) -> Option<Self> {
        let ["", "2a" | "2b" | "2y", cost, encoded] = fields(rest)? else {
            return None;
        };
        let cost = number(cost).filter(|cost| (4..32).contains(cost))?;
        let (salt, output) = encoded.split_at_checked(22)?;
        let scheme = Scheme::Bcrypt {
            prehashed,
            cost,
            salt: BCRYPT_BASE64.decode(salt).ok()?.try_into().ok()?,
        };
        Self::with(scheme, BCRYPT_BASE64.decode(output).ok()?, BCRYPT_LEN)
    }

    fn scrypt(rest: &str) -> Option<Self> {
        let [n, salt, r, p, output] = fields(rest)?;
        let n: u32 = number(n).filter(|n| n.is_power_of_two() && *n > 1)?;
        let scheme = Scheme::Scrypt {
            log_n: u8::try_from(n.ilog2()).ok()?,
            r: number(r)?,
            p: number(p)?,
            salt: salt.into(),
        };
        Self::with(scheme, STANDARD.decode(output).ok()?, SCRYPT_LEN)
    }

    fn with(scheme: Scheme, output: Vec<u8>, length: usize) -> Option<Self> {
        let output = phc::Output::new(&output).ok()?;
        (output.len() == length).then_some(Self { scheme, output })
    }

    pub(super) fn cost(&self) -> HashCost {
        self.scheme.cost()
    }

    /// Returns a hash of the same scheme and cost that no password matches.
    pub(super) fn with_random_output(&self) -> Option<Self> {
        let random = random::bytes::<{ phc::Output::MAX_LENGTH }>();
        let output = phc::Output::new(&random[..self.output.len()]).ok()?;
        let scheme = self.scheme.clone();
        Some(Self { scheme, output })
    }

    /// Returns whether a new hash of the same password would have the same scheme and parameters.
    pub(super) fn is_current(&self, current: &Params, length: usize) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        matches!(&self.scheme, Scheme::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, .. }
            if self.output.len() == length && cost(params) == cost(current))
    }
}

/// Splits at `$`. Returns `None` unless there are exactly `N` fields.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

/// Parses a positive number that consists of digits only.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

fn unsupported(text: &str) -> UnsupportedHash {
    let is_md5 = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = match text.split_once('$') {
        // Django writes unsalted hashes in two ways.
        Some(("sha1", rest)) if rest.starts_with('$') => "unsalted_sha1",
        Some(("md5", rest)) if rest.starts_with('$') => "unsalted_md5",
        Some((name, _)) => name,
        None if is_md5(text) => "unsalted_md5",
        None => return UnsupportedHash::Unknown,
    };
    let weak = WEAK_SCHEMES.into_iter().find(|weak| *weak == name);
    weak.map_or(UnsupportedHash::Unknown, UnsupportedHash::WeakScheme)
}
