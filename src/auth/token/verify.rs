//! Verifies the header, the signature and the claims of a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{ISSUED_HEADER, Tokens};

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
    /// Verifies a token, but not its expiry, because the contract has a separate message for expired tokens.
    ///
    /// # Errors
    /// If the token does not verify.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedClaims, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Segments)?;
        let (header_segment, payload_segment) =
            message.split_once('.').ok_or(TokenError::Segments)?;
        let loaded = self.loaded();
        let verified = if header_segment == ISSUED_HEADER {
            loaded.verify(message, signature, now)
        } else {
            let header: JoseHeader = decode(header_segment).ok_or(TokenError::Header)?;
            if header.crit.is_some() {
                return Err(TokenError::Critical);
            }
            // The algorithm belongs to the key. A secret is only for HS256, and a published key is only for ES256.
            match header.alg.as_str() {
                "HS256" => loaded.verify(message, signature, now),
                "ES256" if !loaded.private.is_empty() => {
                    let header: Value = decode(header_segment).ok_or(TokenError::Header)?;
                    let kid = header["kid"].as_str().unwrap_or_default();
                    self.published()
                        .verify(kid, message, signature, &loaded.private, now)
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
            let claims: Value = decode(payload_segment).ok_or(TokenError::Payload)?;
            let expires_in = self.lifetimes.expires_in;
            let published = self.published();
            if !published.accepts_issuer(own, &claims["iss"], now, expires_in) {
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
    use crate::auth::{Lifetimes, Secrets};

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
