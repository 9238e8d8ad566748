//! Tokens (JWT, RFC 7519), and the secrets and keys that sign and verify them.

use std::{fmt, sync::Arc};

use jsonwebtoken::{Algorithm, Header};
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::Serialize;

use super::{IssuedToken, random};
use crate::accounts::{FINGERPRINT_LEN, Issuer, ServedKey, SigningKey};

mod crypto;
mod es256;
pub(super) mod published;
mod secrets;
mod serving;
mod verify;

pub use es256::{GENERATE_HINT, PrivateKey, PublicKey};
pub use published::Jwks;
pub use secrets::{PreviousSecret, SecretError, Secrets, weak_secret_reason};
pub(super) use serving::MAX_AGE_OF_KEYS;
pub use serving::{JWKS_MAX_AGE, SIGNING_DELAY, ServingReplicas};
pub use verify::{TokenError, VerifiedClaims};

use published::{LastRead, Published};
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
    loaded: RwLock<Arc<KeySet>>,
    published: RwLock<Arc<Published>>,
    /// The ID of this process in the records of served keys.
    replica: String,
    /// The lifetimes of new tokens.
    pub lifetimes: Lifetimes,
    /// The claim `iss` of new tokens.
    pub issuer: Option<String>,
    /// The last read of keys and issuers. Only one task publishes and reads at a time, so that an older result does not replace a newer one.
    pub(super) publication: tokio::sync::Mutex<LastRead>,
}

impl Tokens {
    /// Creates a signer with these secrets, without an issuer.
    ///
    /// # Errors
    /// If no secret and no key can sign.
    pub fn new(secrets: &Secrets, lifetimes: Lifetimes) -> Result<Self, SecretError> {
        crypto::install();
        Ok(Self {
            loaded: RwLock::new(Arc::new(KeySet::new(secrets)?)),
            published: RwLock::default(),
            replica: random::hex::<8>(),
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
        *self.loaded.write() = Arc::new(KeySet::new(secrets)?);
        Ok(())
    }

    /// Replaces the published keys, the issuers, and the keys that the replicas serve, which were read at `now`, in Unix seconds.
    pub(super) fn set_published(
        &self,
        keys: Vec<SigningKey>,
        issuers: Vec<Issuer>,
        served: Vec<ServedKey>,
        now: i64,
    ) {
        let (replica, former) = (&self.replica, self.published());
        let published = Published::new(keys, issuers, served, replica, now, &former);
        *self.published.write() = Arc::new(published);
    }

    /// Returns the record of the keys that this replica serves.
    pub(super) fn served_keys(&self) -> Vec<ServedKey> {
        self.published().served_keys(&self.replica)
    }

    /// Returns the loaded private keys.
    pub(super) fn private_keys(&self) -> Vec<PrivateKey> {
        self.loaded().private.clone()
    }

    /// Returns whether all of these keys are revoked, so that services reject their tokens.
    pub fn are_revoked(&self, keys: &[PrivateKey]) -> bool {
        !keys.is_empty() && !self.published().has_any(keys)
    }

    /// Returns whether new tokens have a signature of a revoked key.
    pub fn signs_with_revoked_key(&self) -> bool {
        let loaded = self.loaded();
        loaded.hs256.is_none() && self.are_revoked(&loaded.private)
    }

    /// Returns the key set for verifiers at `now`, in Unix seconds.
    pub fn jwks(&self, now: i64) -> Jwks {
        self.published().jwks(now)
    }

    /// Returns the number of tokens that each secret and each key verified, the current secret first. The names are the labels of metrics.
    pub fn verified(&self) -> Vec<(String, u64)> {
        let (loaded, published) = (self.loaded(), self.published());
        loaded.verified().chain(published.verified()).collect()
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
        let key = &self.loaded().fingerprints;
        let mut hash = jsonwebtoken::crypto::sign(text.as_bytes(), key, Algorithm::HS256)
            .expect("the key is for HS256");
        hash.truncate(FINGERPRINT_LEN);
        hash
    }

    fn loaded(&self) -> Arc<KeySet> {
        self.loaded.read().clone()
    }

    fn published(&self) -> Arc<Published> {
        self.published.read().clone()
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
        let loaded = self.loaded();
        let token = if let Some(secret) = &loaded.hs256 {
            jsonwebtoken::encode(&Header::default(), &claims, secret)
        } else {
            let published = self.published();
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
        let is_random = !issued.token.starts_with(ISSUED_HEADER);
        let message = issued.token.rsplit_once('.').map(|(message, _)| message);
        if is_random && presented.rsplit_once('.').map(|(message, _)| message) == message {
            presented.clone_into(&mut issued.token);
        }
        issued
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}
