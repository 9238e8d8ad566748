//! A stored hash, taken apart: its scheme, and what a password must come out as.

use argon2::{Algorithm, Params, Version, password_hash::phc};
use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

use super::scheme::{Pbkdf2Digest, Scheme};
use crate::auth::{hash_pool::Weight, random};

/// The most that a stored hash may take, in KiB of memory and in milliseconds of one core: far above what
/// Django and OWASP advise, and far below what would stop the service.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_MILLISECONDS: u64 = 5000;

/// Of what Django writes, in bytes.
const SHA1: usize = 20;
const SHA256: usize = 32;
const SCRYPT: usize = 64;
const BCRYPT: usize = 23;

/// bcrypt's own alphabet; writers leave rubbish in the last bits.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// What Django once wrote, or still could until version 5.1, and nobody should verify any more.
const OLDER: [&str; 6] = [
    "sha1",
    "md5",
    "unsalted_sha1",
    "unsalted_md5",
    "crypt",
    "sha512",
];

/// A stored hash that is verified.
#[derive(Clone)]
pub(super) struct ParsedHash {
    pub(super) scheme: Scheme,
    /// It compares in constant time.
    pub(super) output: phc::Output,
}

/// Why a stored hash is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedHash {
    /// A scheme that is too weak to be verified.
    #[error("its scheme, {0}, is too weak to be verified")]
    Older(&'static str),
    /// A hash that would hold up the service.
    #[error("it takes more than 1 GiB of memory or five seconds of a core")]
    CostTooHigh,
    /// Not what any scheme writes.
    #[error("it is not a hash of a known scheme")]
    Unknown,
}

impl ParsedHash {
    pub(super) fn read(text: &str) -> Result<Self, UnsupportedHash> {
        let stored = Self::parse(text).ok_or_else(|| older(text))?;
        if stored.is_too_dear() {
            return Err(UnsupportedHash::CostTooHigh);
        }
        Ok(stored)
    }

    pub(super) fn is_too_dear(&self) -> bool {
        let weight = self.weight();
        weight.memory_kib > MAX_MEMORY_KIB
            || weight.usual_time().as_millis() > MAX_MILLISECONDS.into()
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('$')?;
        match name {
            "" => Self::of(&phc::PasswordHash::new(text).ok()?),
            "argon2" => Self::of(&phc::PasswordHash::new(&text[name.len()..]).ok()?),
            "pbkdf2_sha256" => Self::pbkdf2(Pbkdf2Digest::Sha256, SHA256, rest),
            "pbkdf2_sha1" => Self::pbkdf2(Pbkdf2Digest::Sha1, SHA1, rest),
            "bcrypt_sha256" => Self::bcrypt(true, rest),
            "bcrypt" => Self::bcrypt(false, rest),
            "scrypt" => Self::scrypt(rest),
            _ => None,
        }
    }

    pub(super) fn of(hash: &phc::PasswordHash) -> Option<Self> {
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash
            .version
            // The first version did not write itself down, which is what older Djangos have.
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

    /// `$2b$12$`, then 22 letters of salt and 31 of output.
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
        Self::with(scheme, BCRYPT_BASE64.decode(output).ok()?, BCRYPT)
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
        Self::with(scheme, STANDARD.decode(output).ok()?, SCRYPT)
    }

    fn with(scheme: Scheme, output: Vec<u8>, length: usize) -> Option<Self> {
        let output = phc::Output::new(&output).ok()?;
        (output.len() == length).then_some(Self { scheme, output })
    }

    /// What one hash costs.
    pub(super) fn weight(&self) -> Weight {
        self.scheme.weight()
    }

    /// The same scheme at the same cost, and no password that anybody knows.
    pub(super) fn without_password(&self) -> Option<Self> {
        let random = random::bytes::<{ phc::Output::MAX_LENGTH }>();
        let output = phc::Output::new(&random[..self.output.len()]).ok()?;
        let scheme = self.scheme.clone();
        Some(Self { scheme, output })
    }

    /// Whether this is what the service would make of the same password today.
    pub(super) fn is_current(&self, current: &Params, length: usize) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        matches!(&self.scheme, Scheme::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, .. }
            if self.output.len() == length && cost(params) == cost(current))
    }
}

/// Exactly `N` fields.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

/// At least 1, in digits alone.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

fn older(text: &str) -> UnsupportedHash {
    let is_md5 = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = match text.split_once('$') {
        // Django's names for those without a salt, which it writes in two ways.
        Some(("sha1", rest)) if rest.starts_with('$') => "unsalted_sha1",
        Some(("md5", rest)) if rest.starts_with('$') => "unsalted_md5",
        Some((name, _)) => name,
        None if is_md5(text) => "unsalted_md5",
        None => return UnsupportedHash::Unknown,
    };
    let older = OLDER.into_iter().find(|older| *older == name);
    older.map_or(UnsupportedHash::Unknown, UnsupportedHash::Older)
}
