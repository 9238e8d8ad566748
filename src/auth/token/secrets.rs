//! The signing secret, and previous secrets that still verify.
//!
//! Tokens have no `kid`, so each secret is tried in turn. There are few secrets, and an HMAC is cheap.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The minimum length of a secret for HS256, in bytes (RFC 7518 section 3.2).
const MIN_SECRET_LEN: usize = 32;

/// The current secret and the previous secrets.
#[derive(Clone)]
pub struct Secrets {
    /// Signs and verifies tokens.
    pub current: Vec<u8>,
    /// Verify tokens only.
    pub previous: Vec<PreviousSecret>,
}

/// A previous secret. If a client refreshes a token of this secret, the current secret signs the new token.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Vec<u8>,
    /// Time after which the secret is rejected.
    pub until: Option<OffsetDateTime>,
}

/// The secret is too short for signing.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes, and HS256 needs at least {MIN_SECRET_LEN}")]
pub struct SecretTooShort(usize);

impl Secrets {
    /// Returns one secret without previous secrets.
    #[must_use]
    pub fn only(current: &[u8]) -> Self {
        Self {
            current: current.to_owned(),
            previous: Vec::new(),
        }
    }

    /// Checks the length of the current secret.
    ///
    /// # Errors
    /// If the current secret is shorter than 32 bytes.
    pub const fn check(&self) -> Result<(), SecretTooShort> {
        if self.current.len() < MIN_SECRET_LEN {
            return Err(SecretTooShort(self.current.len()));
        }
        Ok(())
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
        write!(f, "Secrets({} of them)", 1 + self.previous.len())
    }
}

impl fmt::Debug for PreviousSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreviousSecret(until {:?})", self.until)
    }
}

/// The keys of all secrets.
pub(super) struct KeySet {
    pub(super) signing: EncodingKey,
    /// The current key is the first one.
    verifying: Vec<VerifyingKey>,
}

struct VerifyingKey {
    key: DecodingKey,
    until: Option<OffsetDateTime>,
    verified: AtomicU64,
}

impl KeySet {
    pub(super) fn new(secrets: &Secrets) -> Result<Self, SecretTooShort> {
        secrets.check()?;
        let verifying = |secret, until| VerifyingKey {
            key: DecodingKey::from_secret(secret),
            until,
            verified: AtomicU64::new(0),
        };
        let previous = secrets.previous.iter();
        Ok(Self {
            signing: EncodingKey::from_secret(&secrets.current),
            verifying: std::iter::once(verifying(&secrets.current, None))
                .chain(previous.map(|previous| verifying(&previous.secret, previous.until)))
                .collect(),
        })
    }

    /// Returns whether a secret that is accepted at `now`, in Unix seconds, verifies the signature.
    pub(super) fn verify(&self, message: &str, signature: &str, now: i64) -> bool {
        let accepted = self.verifying.iter().filter(|verifying| {
            verifying
                .until
                .is_none_or(|until| now < until.unix_timestamp())
        });
        for verifying in accepted {
            let verified = crypto::verify(
                signature,
                message.as_bytes(),
                &verifying.key,
                Algorithm::HS256,
            );
            if verified.unwrap_or(false) {
                verifying.verified.fetch_add(1, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Returns the number of tokens that each secret verified, the current secret first.
    pub(super) fn verified(&self) -> Vec<u64> {
        let count = |verifying: &VerifyingKey| verifying.verified.load(Ordering::Relaxed);
        self.verifying.iter().map(count).collect()
    }
}
