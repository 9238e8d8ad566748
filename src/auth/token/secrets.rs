//! The secrets: the one that signs, and the earlier ones that are still taken.
//!
//! Tokens carry no `kid`, so that a token is tried against each: there are few, and an HMAC is cheap.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An HMAC key shorter than its hash weakens it (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// The secret that signs, and the earlier ones that only verify.
#[derive(Clone)]
pub struct Secrets {
    /// Signs, and verifies.
    pub current: Vec<u8>,
    /// Verify only.
    pub previous: Vec<PreviousSecret>,
}

/// An earlier secret: its tokens are still taken, and refreshed under the current one.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Vec<u8>,
    /// When it is no longer taken, if that is known.
    pub until: Option<OffsetDateTime>,
}

/// The secret is too short to sign with.
#[derive(Debug, thiserror::Error)]
#[error("it has {0} bytes; HS256 wants at least {MIN_SECRET}")]
pub struct SecretTooShort(usize);

impl Secrets {
    /// One secret, and no earlier ones.
    #[must_use]
    pub fn only(current: &[u8]) -> Self {
        Self {
            current: current.to_owned(),
            previous: Vec::new(),
        }
    }

    /// Whether these can be worked with.
    ///
    /// # Errors
    /// When the current secret is shorter than 32 bytes.
    pub const fn check(&self) -> Result<(), SecretTooShort> {
        if self.current.len() < MIN_SECRET {
            return Err(SecretTooShort(self.current.len()));
        }
        Ok(())
    }
}

/// Why a secret may be guessed, if it looks like that. A secret is drawn, not thought of.
#[must_use]
pub fn weak_secret_reason(secret: &[u8]) -> Option<&'static str> {
    /// What is in secrets that stand in manuals.
    const WORDS: [&str; 5] = ["changeme", "secret", "password", "example", "insecure"];
    /// Of 128 bits as hexadecimal digits, counting makes about 117.
    const BITS: f64 = 100.0;
    let text = String::from_utf8_lossy(secret)
        .to_lowercase()
        .replace(['-', '_', ' '], "");
    if WORDS.iter().any(|word| text.contains(word)) {
        return Some("it has a word in it that stands in manuals");
    }
    let mut counts = [0_u32; 256];
    for byte in secret {
        counts[usize::from(*byte)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "a secret has not so many bytes")]
    let length = secret.len() as f64;
    let counts = counts.into_iter().filter(|count| *count > 0).map(f64::from);
    let bits: f64 = counts.map(|count| count * (length / count).log2()).sum();
    (bits < BITS).then_some("it has few different characters")
}

impl PreviousSecret {
    /// Reads one: `SECRET`, or `2027-01-31T00:00:00Z SECRET` for one that is taken until then.
    ///
    /// # Errors
    /// When there is no secret in it, or its date cannot be read: what was meant must not be guessed.
    pub fn read(line: &[u8]) -> Result<Self, &'static str> {
        let space = line.iter().position(u8::is_ascii_whitespace);
        let (first, rest) = space.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let date = std::str::from_utf8(first).ok();
        let date = date.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let (secret, until) = match date {
            Some(until) => (rest, Some(until)),
            None if space.is_some() && is_like_a_date(first) => {
                return Err("its date is not one like 2027-01-31T00:00:00Z");
            }
            None if space.is_some() && first == b"#" => {
                return Err("it looks like a comment; every line is a secret");
            }
            None => (line, None),
        };
        if secret.trim_ascii().is_empty() {
            return Err("there is no secret in it");
        }
        if secret.trim_ascii() != secret {
            return Err("there is white space around it: take it away, or it is another secret");
        }
        Ok(Self {
            secret: secret.to_owned(),
            until,
        })
    }

    /// Whether it is too short to be signed with; it may verify all the same.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.secret.len() < MIN_SECRET
    }
}

/// What somebody may have meant as a date.
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

/// The keys that the secrets make.
pub(super) struct Keys {
    pub(super) signing: EncodingKey,
    /// The current one first.
    verifying: Vec<Verifying>,
}

struct Verifying {
    key: DecodingKey,
    until: Option<OffsetDateTime>,
    verified: AtomicU64,
}

impl Keys {
    pub(super) fn new(secrets: &Secrets) -> Result<Self, SecretTooShort> {
        secrets.check()?;
        let verifying = |secret, until| Verifying {
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

    /// Whether the signature is of a secret that is taken at `now`, in Unix seconds.
    pub(super) fn verify(&self, message: &str, signature: &str, now: i64) -> bool {
        let taken = self.verifying.iter().filter(|verifying| {
            verifying
                .until
                .is_none_or(|until| now < until.unix_timestamp())
        });
        for verifying in taken {
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

    /// How many tokens each secret verified, the current one first.
    pub(super) fn verified(&self) -> Vec<u64> {
        let count = |verifying: &Verifying| verifying.verified.load(Ordering::Relaxed);
        self.verifying.iter().map(count).collect()
    }
}
