//! The secrets and keys that sign and verify tokens.
//!
//! Tokens of HS256 have no `kid`, so each secret is tried in turn. There are few secrets, and an HMAC is cheap.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::es256::PrivateKey;

/// The minimum length of a secret for HS256, in bytes (RFC 7518 section 3.2).
const MIN_SECRET_LEN: usize = 32;

/// The secrets for HS256, and the keys for ES256.
#[derive(Clone)]
pub struct Secrets {
    /// Signs and verifies tokens with HS256. Without this secret, the keys sign.
    pub current: Option<Vec<u8>>,
    /// Verify tokens only.
    pub previous: Vec<PreviousSecret>,
    /// The keys for ES256. They are published and verify tokens. They sign tokens if there is no current secret.
    pub keys: Vec<PrivateKey>,
}

/// A previous secret. If a client refreshes a token of this secret, the current secret signs the new token.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Vec<u8>,
    /// Time after which the secret is rejected.
    pub until: Option<OffsetDateTime>,
}

/// No secret and no key can sign.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The current secret is too short.
    #[error("{0} bytes, and HS256 needs at least {MIN_SECRET_LEN}")]
    TooShort(usize),
    /// There is neither a secret nor a key.
    #[error("there is neither a secret nor a key that signs tokens")]
    Missing,
}

impl Secrets {
    /// Returns one secret without previous secrets and keys.
    #[must_use]
    pub fn only(current: &[u8]) -> Self {
        Self {
            current: Some(current.to_owned()),
            previous: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Checks that a secret or a key can sign.
    ///
    /// # Errors
    /// If the current secret is shorter than 32 bytes, or there is neither a secret nor a key.
    pub fn check(&self) -> Result<(), SecretError> {
        match &self.current {
            Some(secret) if secret.len() < MIN_SECRET_LEN => {
                Err(SecretError::TooShort(secret.len()))
            }
            None if self.keys.is_empty() => Err(SecretError::Missing),
            _ => Ok(()),
        }
    }
}

/// Returns why an attacker may guess the secret, if the secret does not look random.
#[must_use]
pub fn weak_secret_reason(secret: &[u8]) -> Option<&'static str> {
    /// Parts of example secrets in manuals.
    const WORDS: [&str; 5] = ["changeme", "secret", "password", "example", "insecure"];
    /// The entropy by character counts. A secret of 128 random bits in hexadecimal digits has about 117.
    const BITS: f64 = 100.0;
    let text = String::from_utf8_lossy(secret)
        .to_lowercase()
        .replace(['-', '_', ' '], "");
    if WORDS.iter().any(|word| text.contains(word)) {
        return Some("the secret contains a word that is common in documentation");
    }
    let mut counts = [0_u32; 256];
    for byte in secret {
        counts[usize::from(*byte)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "secrets are short")]
    let length = secret.len() as f64;
    let counts = counts.into_iter().filter(|count| *count > 0).map(f64::from);
    let bits: f64 = counts.map(|count| count * (length / count).log2()).sum();
    (bits < BITS).then_some("the secret has few different characters")
}

impl PreviousSecret {
    /// Parses `SECRET`, or `2027-01-31T00:00:00Z SECRET` for a secret that is accepted until then.
    ///
    /// # Errors
    /// If the line has no secret, or looks like a line with an invalid date.
    pub fn read(line: &[u8]) -> Result<Self, &'static str> {
        let space = line.iter().position(u8::is_ascii_whitespace);
        let (first, rest) = space.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let date = std::str::from_utf8(first).ok();
        let date = date.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let (secret, until) = match date {
            Some(until) => (rest, Some(until)),
            None if space.is_some() && is_like_a_date(first) => {
                return Err("the date is invalid; use a format such as 2027-01-31T00:00:00Z");
            }
            None if space.is_some() && first == b"#" => {
                return Err("comments are not supported: every line is a secret");
            }
            None => (line, None),
        };
        if secret.trim_ascii().is_empty() {
            return Err("the secret is missing");
        }
        if secret.trim_ascii() != secret {
            return Err("white space around the secret: remove the white space");
        }
        Ok(Self {
            secret: secret.to_owned(),
            until,
        })
    }

    /// Returns whether the secret is too short for signing. Such a secret still verifies.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.secret.len() < MIN_SECRET_LEN
    }
}

/// Returns whether a word was probably meant as a date.
fn is_like_a_date(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_digit) && word.iter().any(|byte| b"-/.:".contains(byte))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("previous", &self.previous.len())
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PreviousSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreviousSecret(until {:?})", self.until)
    }
}

/// The loaded secrets and private keys.
pub(super) struct KeySet {
    /// Signs with HS256. Without this key, the private keys sign.
    pub(super) hs256: Option<EncodingKey>,
    /// For keyed hashes that are no tokens.
    pub(super) fingerprints: EncodingKey,
    /// The keys for ES256.
    pub(super) private: Vec<PrivateKey>,
    /// The secrets that verify. The current secret is the first one.
    verifying: Vec<VerifyingSecret>,
}

struct VerifyingSecret {
    /// The label of metrics: `current`, or `previous 1`.
    label: String,
    key: DecodingKey,
    until: Option<OffsetDateTime>,
    verified: AtomicU64,
}

impl KeySet {
    pub(super) fn new(secrets: &Secrets) -> Result<Self, SecretError> {
        secrets.check()?;
        let verifying = |label, secret: &[u8], until| VerifyingSecret {
            label,
            key: DecodingKey::from_secret(secret),
            until,
            verified: AtomicU64::new(0),
        };
        let current = secrets.current.iter();
        let current = current.map(|secret| verifying("current".to_owned(), secret, None));
        let previous = (1..).zip(&secrets.previous).map(|(number, previous)| {
            let number: u32 = number;
            verifying(
                format!("previous {number}"),
                &previous.secret,
                previous.until,
            )
        });
        let hs256 = secrets.current.as_deref().map(EncodingKey::from_secret);
        Ok(Self {
            fingerprints: hs256
                .clone()
                .unwrap_or_else(|| fingerprint_key(&secrets.keys)),
            hs256,
            private: secrets.keys.clone(),
            verifying: current.chain(previous).collect(),
        })
    }

    /// Returns whether a secret that is accepted at `now`, in Unix seconds, verifies the signature.
    pub(super) fn verify(&self, message: &str, signature: &str, now: i64) -> bool {
        let mut accepted = self.verifying.iter().filter(|verifying| {
            verifying
                .until
                .is_none_or(|until| now < until.unix_timestamp())
        });
        let verifying = accepted.find(|VerifyingSecret { key, .. }| {
            let verified = crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256);
            verified.unwrap_or(false)
        });
        verifying
            .inspect(|verifying| {
                verifying.verified.fetch_add(1, Ordering::Relaxed);
            })
            .is_some()
    }

    /// Returns the number of tokens that each secret verified, by the label of metrics.
    pub(super) fn verified(&self) -> impl Iterator<Item = (String, u64)> {
        self.verifying.iter().map(|secret| {
            let verified = secret.verified.load(Ordering::Relaxed);
            (secret.label.clone(), verified)
        })
    }
}

/// Derives a key from the first private key. With another first key, a repeated wrong password counts once more.
fn fingerprint_key(keys: &[PrivateKey]) -> EncodingKey {
    let mut hash = Sha256::new_with_prefix("fingerprints of passwords");
    for key in keys.iter().take(1) {
        hash.update(key.signing.as_bytes());
    }
    EncodingKey::from_secret(&hash.finalize())
}
