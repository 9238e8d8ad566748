//! Issues and verifies tokens (JWT, RFC 7519).

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header, crypto};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::IssuedToken;
use crate::accounts::FINGERPRINT_LEN;

mod hs256;
mod secrets;

pub use secrets::{PreviousSecret, SecretTooShort, Secrets, weak_secret_reason};

use secrets::KeySet;

/// The payload of a token, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Claims {
    /// The ID of the account.
    pub user_id: i64,
    /// The email of the account, as stored.
    pub username: String,
    /// The last second in which the token is valid, in Unix seconds.
    pub exp: i64,
    /// The email of the account, as stored.
    pub email: String,
    /// The time of the login, in Unix seconds. Refreshes preserve this time.
    pub orig_iat: i64,
}

/// The lifetimes of tokens, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Time from the issue of a token to its expiry.
    pub expires_in: i64,
    /// Time from `orig_iat` to the last second in which a token can be refreshed.
    pub refresh_window: i64,
}

/// The header of every issued token: `{"typ":"JWT","alg":"HS256"}`. Skipping its parsing saves a sixteenth of the instructions of
/// verifying.
const ISSUED_HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";

/// Signs and verifies tokens.
pub struct Tokens {
    keys: RwLock<Arc<KeySet>>,
    /// The lifetimes of new tokens.
    pub lifetimes: Lifetimes,
}

/// A token does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token does not have three segments.
    #[error("the number of segments is not three")]
    Segments,
    /// The header is not a JSON object in base64url, or has no `alg`.
    #[error("the header cannot be parsed")]
    Header,
    /// The header marks an extension as critical (RFC 7515 section 4.1.11).
    #[error("the header has a critical extension")]
    Critical,
    /// The algorithm is not HS256.
    #[error("the algorithm is not HS256")]
    Algorithm,
    /// No accepted secret verifies the signature.
    #[error("no secret verifies the signature")]
    Signature,
    /// The payload is not a JSON object in base64url, or a claim has the wrong type.
    #[error("the payload cannot be parsed")]
    Payload,
    /// The claim `exp` is missing.
    #[error("exp is missing")]
    NoExpiry,
    /// `nbf` is in the future.
    #[error("nbf is in the future")]
    NotYet,
    /// The token is for an audience. This service has no audience.
    #[error("the token has an audience")]
    Audience,
}

/// The claims of a verified token. All but `exp` may be missing.
#[derive(Debug)]
pub struct VerifiedClaims {
    /// Expiry, in Unix seconds.
    pub exp: i64,
    /// The ID of the account.
    pub user_id: Option<i64>,
    /// The email of the account.
    pub username: Option<String>,
    /// Time of the login, in Unix seconds.
    pub orig_iat: Option<i64>,
}

impl Tokens {
    /// Creates an issuer with these secrets.
    ///
    /// # Errors
    /// If the current secret is shorter than 32 bytes.
    pub fn new(secrets: &Secrets, lifetimes: Lifetimes) -> Result<Self, SecretTooShort> {
        hs256::install();
        Ok(Self {
            keys: RwLock::new(Arc::new(KeySet::new(secrets)?)),
            lifetimes,
        })
    }

    /// Replaces the secrets. Tokens of a removed secret are no longer valid.
    ///
    /// # Errors
    /// If the current secret is shorter than 32 bytes. The old secrets then stay in use.
    pub fn replace(&self, secrets: &Secrets) -> Result<(), SecretTooShort> {
        let keys = Arc::new(KeySet::new(secrets)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Returns the number of tokens that each secret verified since it was loaded, the current secret first.
    pub fn verified(&self) -> Vec<u64> {
        self.keys().verified()
    }

    /// Returns the start of a keyed hash of `text`. The 18 bits are enough to recognize a repeated text, and too few to find the text.
    pub(super) fn fingerprint(&self, text: &str) -> String {
        let mut hash = crypto::sign(text.as_bytes(), &self.keys().signing, Algorithm::HS256)
            .expect("the key is for HS256");
        hash.truncate(FINGERPRINT_LEN);
        hash
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Issues a token to an account at `now`, for a login at `orig_iat`. Both are Unix seconds.
    ///
    /// # Panics
    /// Never: the claims are JSON, and the key is for HS256.
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
                .expect("the claims are JSON, and the key is for HS256"),
            expires_in: self.lifetimes.expires_in,
        }
    }

    /// Verifies a token, but not its expiry, because the contract has a separate message for expired tokens.
    ///
    /// # Errors
    /// If the token does not verify.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedClaims, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Segments)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Segments)?;
        if header != ISSUED_HEADER {
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
        // With a fourth segment, the payload contains a dot, which is not base64url.
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

/// The header. Keys and key references in the header are ignored.
#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<()>,
}

/// The payload. A claim of `null` counts as missing.
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

/// Every `crit` counts, `null` included, because RFC 7515 forbids an empty list.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<()>, D::Error> {
    IgnoredAny::deserialize(value).map(|_| Some(()))
}

/// Decodes one segment: strict base64url (without padding or trailing bits) of a JSON object in UTF-8.
fn decode<T: serde::de::DeserializeOwned>(segment: &str) -> Option<T> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(segment).ok()?).ok()?;
    // serde also parses an array as a struct.
    if !json.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_header_is_the_issued_header() {
        let lifetimes = Lifetimes {
            expires_in: 1,
            refresh_window: 1,
        };
        let tokens = Tokens::new(&Secrets::only(&[7; 32]), lifetimes).unwrap();
        let token = tokens.issue(1, "you@example.com".to_owned(), 0, 0).token;
        assert_eq!(token.split('.').next(), Some(ISSUED_HEADER));
        let header: JoseHeader = decode(ISSUED_HEADER).unwrap();
        assert_eq!((header.alg.as_str(), header.crit), ("HS256", None));
    }
}
