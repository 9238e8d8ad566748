//! The token: its claims, its lifetimes, and how it is signed and verified.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header, crypto};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::IssuedToken;
use crate::accounts::GUESS;

mod hs256;
mod secrets;

pub use secrets::{PreviousSecret, SecretTooShort, Secrets, weak_secret_reason};

use secrets::Keys;

/// The payload of a token, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Claims {
    /// The account's id.
    pub user_id: i64,
    /// The account's e-mail, as stored.
    pub username: String,
    /// When the token expires, in Unix seconds: it is good in that second, and expired after it.
    pub exp: i64,
    /// The account's e-mail, as stored.
    pub email: String,
    /// When the password was given, in Unix seconds: a refresh keeps it.
    pub orig_iat: i64,
}

/// How long tokens live, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// From the issue of a token to its expiry.
    pub expires_in: i64,
    /// From `orig_iat` to the last second in which a token refreshes.
    pub refresh_window: i64,
}

/// The header of every token that is issued: `{"typ":"JWT","alg":"HS256"}`. There is nothing in it to be read,
/// which saves a sixteenth of the instructions of verifying.
const OUR_HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";

/// Signs and verifies tokens.
pub struct Tokens {
    keys: RwLock<Arc<Keys>>,
    /// How long tokens live.
    pub lifetimes: Lifetimes,
}

/// Why a token does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three segments.
    #[error("it has not three segments")]
    Segments,
    /// The header is no JSON object in base64url, or names no algorithm.
    #[error("its header cannot be read")]
    Header,
    /// The header marks an extension critical (RFC 7515 section 4.1.11).
    #[error("its header has a critical extension")]
    Critical,
    /// The algorithm is not HS256.
    #[error("its algorithm is not HS256")]
    Algorithm,
    /// The signature is of no secret that is taken.
    #[error("its signature is of no secret that is taken")]
    Signature,
    /// The payload is no JSON object in base64url, or a claim is not of its type.
    #[error("its payload cannot be read")]
    Payload,
    /// There is no `exp` (RFC 8725 section 3.10 asks for one).
    #[error("it has no exp")]
    NoExpiry,
    /// `nbf` is in the future.
    #[error("its nbf is in the future")]
    NotYet,
    /// It is meant for others: this service names no audience.
    #[error("it names an audience")]
    Audience,
}

/// What a verified token says. Only `exp` is certain to be there.
#[derive(Debug)]
pub struct VerifiedClaims {
    /// When it expires, in Unix seconds.
    pub exp: i64,
    /// The account's id.
    pub user_id: Option<i64>,
    /// The account's e-mail.
    pub username: Option<String>,
    /// When the password was given, in Unix seconds.
    pub orig_iat: Option<i64>,
}

impl Tokens {
    /// Tokens under these secrets.
    ///
    /// # Errors
    /// When the current secret is shorter than 32 bytes.
    pub fn new(secrets: &Secrets, lifetimes: Lifetimes) -> Result<Self, SecretTooShort> {
        hs256::install();
        Ok(Self {
            keys: RwLock::new(Arc::new(Keys::new(secrets)?)),
            lifetimes,
        })
    }

    /// Goes on with these secrets. The tokens of one that is not among them are ended.
    ///
    /// # Errors
    /// When the current secret is shorter than 32 bytes; then it goes on with those it had.
    pub fn replace(&self, secrets: &Secrets) -> Result<(), SecretTooShort> {
        let keys = Arc::new(Keys::new(secrets)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// How many tokens each secret verified since it was read, the current one first: a previous one
    /// that verifies none any more can go.
    pub fn verified(&self) -> Vec<u64> {
        self.keys().verified()
    }

    /// The start of a keyed hash of `text`: 18 bits, which tell that two are the same, and to whoever tries
    /// texts with the secret in hand next to nothing.
    pub(super) fn fingerprint(&self, text: &str) -> String {
        let mut hash = crypto::sign(text.as_bytes(), &self.keys().signing, Algorithm::HS256)
            .expect("the key is for HS256");
        hash.truncate(GUESS);
        hash
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Issues a token to an account at `now`, for a password given at `orig_iat`.
    ///
    /// # Panics
    /// Never: claims are JSON, and the key is for HS256.
    pub fn issue(&self, user_id: i64, email: String, now: i64, orig_iat: i64) -> IssuedToken {
        let claims = Claims {
            user_id,
            username: email.clone(),
            exp: now + self.lifetimes.expires_in,
            email,
            orig_iat,
        };
        IssuedToken {
            token: jsonwebtoken::encode(&Header::default(), &claims, &self.keys().signing)
                .expect("claims are JSON, and the key is for HS256"),
            expires_in: self.lifetimes.expires_in,
        }
    }

    /// Verifies everything about a token but its expiry, which the caller checks next.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedClaims, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Segments)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Segments)?;
        if header != OUR_HEADER {
            let header: JoseHeader = decode(header).ok_or(TokenError::Header)?;
            if header.crit.is_some() {
                return Err(TokenError::Critical);
            }
            if header.alg != "HS256" {
                return Err(TokenError::Algorithm);
            }
        }
        if !self.keys().verify(message, signature, now) {
            return Err(TokenError::Signature);
        }
        // A fourth segment shows as a dot, which base64url does not have.
        let payload: Payload = decode(payload).ok_or(TokenError::Payload)?;
        if payload.nbf.is_some_and(|nbf| nbf > now) {
            return Err(TokenError::NotYet);
        }
        if payload.aud.is_some_and(|aud| !aud.is_empty()) {
            return Err(TokenError::Audience);
        }
        Ok(VerifiedClaims {
            exp: payload.exp.ok_or(TokenError::NoExpiry)?,
            user_id: payload.user_id,
            username: payload.username,
            orig_iat: payload.orig_iat,
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

/// What matters of a token's header. Keys that it carries or points to are not looked at.
#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<()>,
}

/// What matters of a token's payload; null is absent.
#[derive(Deserialize)]
struct Payload {
    exp: Option<i64>,
    user_id: Option<i64>,
    username: Option<String>,
    orig_iat: Option<i64>,
    nbf: Option<i64>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<IgnoredAny>),
    Other(IgnoredAny),
}

impl Audience {
    const fn is_empty(&self) -> bool {
        match self {
            Self::One(name) => name.is_empty(),
            Self::Many(names) => names.is_empty(),
            Self::Other(IgnoredAny) => false,
        }
    }
}

/// `crit` is refused whatever it holds, null included: it may not be there in vain.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<()>, D::Error> {
    IgnoredAny::deserialize(value).map(|_| Some(()))
}

/// One segment: strict base64url (no padding, no stray bits) around a JSON object in UTF-8.
fn decode<T: serde::de::DeserializeOwned>(segment: &str) -> Option<T> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(segment).ok()?).ok()?;
    // serde would also read a struct from an array.
    if !json.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_that_is_not_read_is_the_one_that_is_written() {
        let lifetimes = Lifetimes {
            expires_in: 1,
            refresh_window: 1,
        };
        let tokens = Tokens::new(&Secrets::only(&[7; 32]), lifetimes).unwrap();
        let token = tokens.issue(1, "you@example.com".to_owned(), 0, 0).token;
        assert_eq!(token.split('.').next(), Some(OUR_HEADER));
        let header: JoseHeader = decode(OUR_HEADER).unwrap();
        assert_eq!((header.alg.as_str(), header.crit), ("HS256", None));
    }
}
