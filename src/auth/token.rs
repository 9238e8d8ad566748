//! Issues and verifies tokens (JWT, RFC 7519).

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::IssuedToken;
use crate::accounts::{FINGERPRINT_LEN, Issuer, SigningKey};

mod crypto;
mod es256;
pub(super) mod published;
mod secrets;

pub use es256::{KeyError, PrivateKey, PublicKey};
pub use published::{JWKS_MAX_AGE, Jwks, SIGNING_DELAY};
pub use secrets::{PreviousSecret, SecretError, Secrets, weak_secret_reason};

use published::Published;
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
    /// The issuer, if the operator has set an issuer.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}

/// The lifetimes of tokens, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Time from the issue of a token to its expiry.
    pub expires_in: i64,
    /// Time from `orig_iat` to the last second in which a token can be refreshed.
    pub refresh_window: i64,
}

/// The header of every token that a secret signs: `{"typ":"JWT","alg":"HS256"}`. Skipping its parsing saves a sixteenth of the
/// instructions of verifying.
const ISSUED_HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";

/// Signs and verifies tokens.
pub struct Tokens {
    keys: RwLock<Keys>,
    /// The lifetimes of new tokens.
    pub lifetimes: Lifetimes,
    /// The claim `iss` of new tokens.
    pub issuer: Option<String>,
    /// The time of the last read of keys and issuers, in Unix seconds. Only one task publishes and reads at a time, so that an older result
    /// does not replace a newer one.
    pub(super) publication: tokio::sync::Mutex<i64>,
}

/// The current secrets and keys.
#[derive(Clone)]
struct Keys {
    loaded: Arc<KeySet>,
    published: Arc<Published>,
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
    /// The algorithm is neither HS256 nor ES256.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// `kid` is missing, or no published key has this ID.
    #[error("no key has this kid")]
    UnknownKey,
    /// No accepted secret or key verifies the signature.
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
    /// The token has another issuer, or no issuer.
    #[error("the issuer is not accepted")]
    Issuer,
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
    /// Creates a signer with these secrets, without an issuer.
    ///
    /// # Errors
    /// If no secret and no key can sign.
    pub fn new(secrets: &Secrets, lifetimes: Lifetimes) -> Result<Self, SecretError> {
        crypto::install();
        let keys = Keys {
            loaded: Arc::new(KeySet::new(secrets)?),
            published: Arc::default(),
        };
        Ok(Self {
            keys: RwLock::new(keys),
            lifetimes,
            issuer: None,
            publication: tokio::sync::Mutex::default(),
        })
    }

    /// Sets the claim `iss` of new tokens. Tokens of other issuers are rejected.
    #[must_use]
    pub fn with_issuer(self, issuer: Option<String>) -> Self {
        Self { issuer, ..self }
    }

    /// Replaces the secrets and the private keys. Tokens of a removed secret are no longer valid.
    ///
    /// # Errors
    /// If no secret and no key can sign. The old secrets then stay in use.
    pub fn replace(&self, secrets: &Secrets) -> Result<(), SecretError> {
        let loaded = Arc::new(KeySet::new(secrets)?);
        self.write(|keys| keys.loaded = loaded);
        Ok(())
    }

    /// Replaces the published keys and the issuers, which were read at `now`, in Unix seconds.
    pub(super) fn set_published(&self, keys: Vec<SigningKey>, issuers: Vec<Issuer>, now: i64) {
        self.write(|state| {
            let published = Published::new(keys, issuers, now, &state.published);
            state.published = Arc::new(published);
        });
    }

    /// Returns the loaded private keys.
    pub(super) fn private_keys(&self) -> Vec<PrivateKey> {
        self.keys().loaded.private.clone()
    }

    /// Returns the key set for verifiers at `now`, in Unix seconds.
    pub fn jwks(&self, now: i64) -> Jwks {
        self.keys().published.jwks(now)
    }

    /// Returns the number of tokens that each secret and each key verified, the current secret first. The names are the labels of metrics.
    pub fn verified(&self) -> Vec<(String, u64)> {
        let keys = self.keys();
        keys.loaded
            .verified()
            .chain(keys.published.verified())
            .collect()
    }

    /// Returns the numbers of [`verified`](Self::verified) for the log.
    pub fn verified_counts(&self) -> Vec<u64> {
        self.verified()
            .into_iter()
            .map(|(_, count)| count)
            .collect()
    }

    /// Returns the start of a keyed hash of `text`. The 18 bits are enough to recognize a repeated text, and too few to find the text.
    pub(super) fn fingerprint(&self, text: &str) -> String {
        let key = &self.keys().loaded.fingerprints;
        let mut hash = jsonwebtoken::crypto::sign(text.as_bytes(), key, Algorithm::HS256)
            .expect("the key is for HS256");
        hash.truncate(FINGERPRINT_LEN);
        hash
    }

    fn keys(&self) -> Keys {
        self.keys.read().clone()
    }

    fn write(&self, change: impl FnOnce(&mut Keys)) {
        change(&mut self.keys.write());
    }

    /// Issues a token to an account at `now`, for a login at `orig_iat`. Both are Unix seconds.
    ///
    /// # Panics
    /// Never: the claims are JSON, and [`Secrets::check`] requires a secret or a key.
    pub fn issue(&self, user_id: i64, email: String, now: i64, orig_iat: i64) -> IssuedToken {
        let claims = Claims {
            user_id,
            username: email.clone(),
            exp: now + self.lifetimes.expires_in,
            email,
            orig_iat,
            iss: self.issuer.clone(),
        };
        let Keys { loaded, published } = self.keys();
        let token = if let Some(secret) = &loaded.hs256 {
            jsonwebtoken::encode(&Header::default(), &claims, secret)
        } else {
            let key = published.signing_key(&loaded.private, now);
            let key = key.expect("without a secret, there is a private key");
            let mut header = Header::new(Algorithm::ES256);
            header.kid = Some(key.public.kid.clone());
            jsonwebtoken::encode(&header, &claims, &key.signing)
        };
        IssuedToken {
            token: token.expect("the claims are JSON, and the key is for the algorithm"),
            expires_in: self.lifetimes.expires_in,
        }
    }

    /// Issues a token, or returns the presented token if only the signature would differ: in the second of its issue, a refresh returns the
    /// same token, and signatures of ES256 are random.
    pub(super) fn reissue(
        &self,
        presented: &str,
        user_id: i64,
        email: String,
        now: i64,
        orig_iat: i64,
    ) -> IssuedToken {
        let mut issued = self.issue(user_id, email, now, orig_iat);
        if issued.token.starts_with(ISSUED_HEADER) {
            return issued;
        }
        let signature_of = |token: &str| token.rfind('.').unwrap_or(0);
        let is_same =
            issued.token[..signature_of(&issued.token)] == presented[..signature_of(presented)];
        if is_same {
            presented.clone_into(&mut issued.token);
        }
        issued
    }

    /// Verifies a token, but not its expiry, because the contract has a separate message for expired tokens.
    ///
    /// # Errors
    /// If the token does not verify.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedClaims, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Segments)?;
        let (header_segment, payload_segment) =
            message.split_once('.').ok_or(TokenError::Segments)?;
        let keys = self.keys();
        let verified = if header_segment == ISSUED_HEADER {
            keys.loaded.verify(message, signature, now)
        } else {
            let header: JoseHeader = decode(header_segment).ok_or(TokenError::Header)?;
            if header.crit.is_some() {
                return Err(TokenError::Critical);
            }
            // The algorithm belongs to the key. A secret is only for HS256, and a published key is only for ES256.
            match header.alg.as_str() {
                "HS256" => keys.loaded.verify(message, signature, now),
                "ES256" if keys.published.has_keys() => {
                    let KeyId { kid } = decode(header_segment).ok_or(TokenError::UnknownKey)?;
                    let private = &keys.loaded.private;
                    keys.published
                        .verify(&kid, message, signature, private, now)
                        .ok_or(TokenError::UnknownKey)?
                }
                _ => return Err(TokenError::Algorithm),
            }
        };
        if !verified {
            return Err(TokenError::Signature);
        }
        // With a fourth segment, the payload contains a dot, which is not base64url.
        let payload: Payload = decode(payload_segment).ok_or(TokenError::Payload)?;
        if payload.nbf.is_some_and(|nbf| nbf > now) {
            return Err(TokenError::NotYet);
        }
        if payload.aud.is_some_and(|aud| !aud.is_empty()) {
            return Err(TokenError::Audience);
        }
        if let Some(own) = &self.issuer {
            let issuer = decode(payload_segment).map(|IssuerClaim { iss }| iss);
            let expires_in = self.lifetimes.expires_in;
            let is_accepted = |issuer: Option<String>| {
                keys.published
                    .accepts_issuer(own, issuer.as_deref(), now, expires_in)
            };
            if !issuer.is_some_and(is_accepted) {
                return Err(TokenError::Issuer);
            }
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

/// The ID of the key in the header. It is only parsed for ES256, so that other headers may contain any `kid`.
#[derive(Deserialize)]
struct KeyId {
    kid: String,
}

/// The issuer in the payload. It is only parsed if the service has an issuer.
#[derive(Deserialize)]
struct IssuerClaim {
    iss: Option<String>,
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
