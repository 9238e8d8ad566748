//! The token: its claims, its lifetimes, and how it is signed and verified.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::Grant;
use crate::users::User;

mod hs256;

/// An HMAC key shorter than its hash weakens it (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

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

/// Signs and verifies tokens.
pub struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    /// How long tokens live.
    pub lifetimes: Lifetimes,
}

/// The secret is too short to sign with.
#[derive(Debug, thiserror::Error)]
#[error("it has {0} bytes; HS256 wants at least {MIN_SECRET}")]
pub struct SecretTooShort(usize);

/// Why a token does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
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
    /// The signature is not of this secret.
    #[error("its signature is not of this secret")]
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
pub(super) struct Presented {
    pub exp: i64,
    pub user_id: Option<i64>,
    pub username: Option<String>,
    pub orig_iat: Option<i64>,
}

impl Tokens {
    /// Tokens under `secret`.
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: &[u8], lifetimes: Lifetimes) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET {
            return Err(SecretTooShort(secret.len()));
        }
        hs256::install();
        Ok(Self {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            lifetimes,
        })
    }

    /// Issues a token to `user` at `now`, for a password given at `orig_iat`.
    pub(super) fn issue(&self, user: &User, now: i64, orig_iat: i64) -> Grant {
        let claims = Claims {
            user_id: user.id,
            username: user.email.clone(),
            exp: now + self.lifetimes.expires_in,
            email: user.email.clone(),
            orig_iat,
        };
        Grant {
            token: jsonwebtoken::encode(&Header::default(), &claims, &self.signing)
                .expect("claims are JSON, and the key is for HS256"),
            expires_in: self.lifetimes.expires_in,
        }
    }

    /// Verifies everything about a token but its expiry, which the caller checks next.
    pub(super) fn verify(&self, token: &str, now: i64) -> Result<Presented, Invalid> {
        let (message, signature) = token.rsplit_once('.').ok_or(Invalid::Segments)?;
        let (header, payload) = message.split_once('.').ok_or(Invalid::Segments)?;
        // A fourth segment shows as a dot, which base64url does not have.
        let header: JoseHeader = decode(header).ok_or(Invalid::Header)?;
        if header.crit.is_some() {
            return Err(Invalid::Critical);
        }
        if header.alg != "HS256" {
            return Err(Invalid::Algorithm);
        }
        match crypto::verify(
            signature,
            message.as_bytes(),
            &self.verifying,
            Algorithm::HS256,
        ) {
            Ok(true) => {}
            _ => return Err(Invalid::Signature),
        }
        let payload: Payload = decode(payload).ok_or(Invalid::Payload)?;
        if payload.nbf.is_some_and(|nbf| nbf > now) {
            return Err(Invalid::NotYet);
        }
        if payload.aud.is_some_and(|aud| !aud.is_empty()) {
            return Err(Invalid::Audience);
        }
        Ok(Presented {
            exp: payload.exp.ok_or(Invalid::NoExpiry)?,
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
