//! The public keys and issuers that all replicas accept. The database contains them.
//!
//! Verifiers cache the key set for [`JWKS_MAX_AGE`](super::JWKS_MAX_AGE) seconds. Therefore a key signs only when no cache can lack the key:
//! [`ServingReplicas`] decides when. The public key of a removed private key stays published until its last token has expired.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Value, json};

use super::{
    es256::{PrivateKey, PublicKey},
    serving::{MARGIN, MAX_AGE_OF_KEYS, ServingReplicas, is_recent},
};
use crate::accounts::{DatabaseError, Issuer, ServedKey, SigningKey};

/// The published keys and the issuers, as read at one time.
#[derive(Debug, Default)]
pub(super) struct Published {
    keys: Vec<PublishedKey>,
    issuers: Vec<Issuer>,
    /// When the database was read, in Unix seconds.
    read_at: i64,
    jwks: Arc<str>,
}

/// The last read of the published keys and the issuers.
#[derive(Debug, Default)]
pub(in crate::auth) struct LastRead {
    /// The end of the read, in Unix seconds.
    pub(in crate::auth) at: i64,
    pub(in crate::auth) failure: Option<DatabaseError>,
}

#[derive(Debug)]
struct PublishedKey {
    row: SigningKey,
    key: DecodingKey,
    /// Since when this replica serves the key, in Unix seconds.
    served_since: i64,
    /// When the key may sign, in Unix seconds. `None` while a live replica does not serve the key.
    signs_from: Option<i64>,
    /// The number of tokens that the key verified since the start of the service.
    verified: Arc<AtomicU64>,
}

/// The key set for verifiers (RFC 7517).
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The key set as JSON.
    pub json: Arc<str>,
    /// Whether verifiers may cache the key set: it may lack a new key if the database was not reachable.
    pub is_current: bool,
}

impl Published {
    /// Replaces `former`, whose counters are preserved. `served` are the keys that the replicas serve. This process is `replica`.
    pub(super) fn new(
        rows: Vec<SigningKey>,
        issuers: Vec<Issuer>,
        mut served: Vec<ServedKey>,
        replica: &str,
        read_at: i64,
        former: &Self,
    ) -> Self {
        let keys = rows.into_iter().filter_map(|row| {
            let known = former.find(&row.kid);
            let served_since = match known {
                Some(key) => key.served_since,
                // Until now, verifiers could cache a key set of this replica without the key.
                None if is_recent(former.read_at, read_at) => read_at,
                // A replica that starts, or has been hanging, has served no such key set, so the key does not wait for it.
                None => row.published_at,
            };
            Some(PublishedKey {
                key: decoding_key(&row)?,
                served_since,
                signs_from: None,
                verified: known.map_or_else(Arc::default, |key| Arc::clone(&key.verified)),
                row,
            })
        });
        let mut keys: Vec<_> = keys.collect();
        served.retain(|row| row.replica != replica);
        served.extend(keys.iter().map(|key| key.record(replica, read_at)));
        for key in &mut keys {
            key.signs_from = ServingReplicas::new(&key.row, &served, read_at).signs_from;
        }
        let set = keys.iter().map(|PublishedKey { row, .. }| {
            json!({
                "kty": "EC", "use": "sig", "alg": "ES256", "kid": row.kid,
                "crv": "P-256", "x": row.x, "y": row.y,
            })
        });
        let jwks = json!({ "keys": set.collect::<Vec<_>>() }).to_string();
        Self {
            keys,
            issuers,
            read_at,
            jwks: jwks.into(),
        }
    }

    /// Returns the record of the keys that this process serves, which is `replica`.
    pub(super) fn served_keys(&self, replica: &str) -> Vec<ServedKey> {
        let keys = self.keys.iter();
        keys.map(|key| key.record(replica, self.read_at)).collect()
    }

    fn find(&self, kid: &str) -> Option<&PublishedKey> {
        self.keys.iter().find(|key| key.row.kid == kid)
    }

    pub(super) fn has_any(&self, keys: &[PrivateKey]) -> bool {
        keys.iter().any(|key| self.find(&key.public.kid).is_some())
    }

    /// Returns the key that signs at `now`: the newest key that every verifier knows. If there is none, no older key could sign either,
    /// and the key that was published first signs.
    pub(super) fn signing_key<'a>(
        &self,
        private: &'a [PrivateKey],
        now: i64,
    ) -> Option<&'a PrivateKey> {
        let published = private
            .iter()
            .filter_map(|key| Some((self.find(&key.public.kid)?, key)));
        let known = published
            .clone()
            .filter(|(published, _)| published.signs_from.is_some_and(|at| at <= now));
        // The newest key is the first one of the file, also if the keys were published at the same time. Otherwise the last one of the
        // file signs, because verifiers may know it from before the table was lost.
        let at = |(key, _): &(&PublishedKey, _)| key.row.published_at;
        let newest = known.rev().max_by_key(at);
        let signing = newest.or_else(|| published.rev().min_by_key(at));
        signing.map(|(_, key)| key).or(private.first())
    }

    /// Verifies the signature of a token with the key `kid`. Returns `None` if the key is unknown. A key that this service could sign with
    /// verifies also if its publication could not be extended.
    pub(super) fn verify(
        &self,
        kid: &str,
        message: &str,
        signature: &str,
        private: &[PrivateKey],
        now: i64,
    ) -> Option<bool> {
        let key = self.find(kid)?;
        let is_own = || private.iter().any(|own| own.public.kid == kid);
        if key.row.published_until < now && !is_own() {
            return None;
        }
        let verified = crypto::verify(signature, message.as_bytes(), &key.key, Algorithm::ES256);
        let verified = verified.unwrap_or(false);
        key.verified.fetch_add(verified.into(), Ordering::Relaxed);
        Some(verified)
    }

    /// Returns whether a token may have this issuer, if the service has the issuer `own`. After a change of the issuer, tokens with another
    /// issuer of the service, or without an issuer, are accepted until they expire. `expires_in` is the lifetime of tokens in seconds.
    pub(super) fn accepts_issuer(
        &self,
        own: &str,
        issuer: &Value,
        now: i64,
        expires_in: i64,
    ) -> bool {
        let is_changing = |latest: &Issuer| now <= latest.since.saturating_add(expires_in);
        let mut known = self.issuers.iter();
        issuer == own
            || self.issuers.first().is_some_and(is_changing)
                && (issuer.is_null() || known.any(|known| *issuer == known.issuer))
    }

    pub(super) fn jwks(&self, now: i64) -> Jwks {
        Jwks {
            json: Arc::clone(&self.jwks),
            is_current: is_recent(self.read_at, now),
        }
    }

    /// Returns the number of tokens that each key verified, by the ID of the key.
    pub(super) fn verified(&self) -> impl Iterator<Item = (String, u64)> {
        self.keys
            .iter()
            .map(|key| (key.row.kid.clone(), key.verified.load(Ordering::Relaxed)))
    }
}

impl PublishedKey {
    fn record(&self, replica: &str, seen_at: i64) -> ServedKey {
        ServedKey {
            replica: replica.to_owned(),
            kid: self.row.kid.clone(),
            served_since: self.served_since,
            seen_at,
        }
    }
}

/// Returns the key of a row. Returns `None` if the row has the ID of another key, or coordinates of another length, because a damaged or
/// forged row must not be published.
fn decoding_key(row: &SigningKey) -> Option<DecodingKey> {
    let public = PublicKey::new(row.x.clone(), row.y.clone());
    let is_coordinate = |text: &String| {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.is_ok_and(|bytes| bytes.len() == 32)
    };
    let is_valid = public.kid == row.kid && is_coordinate(&row.x) && is_coordinate(&row.y);
    let key = DecodingKey::from_ec_components(&row.x, &row.y).ok();
    key.filter(|_| is_valid)
}

/// Returns the rows of keys that are published from `now` until the last token of `expires_in` seconds has expired.
pub(in crate::auth) fn rows(keys: &[PrivateKey], now: i64, expires_in: i64) -> Vec<SigningKey> {
    let row = |key: &PrivateKey| SigningKey {
        kid: key.public.kid.clone(),
        x: key.public.x.clone(),
        y: key.public.y.clone(),
        published_at: now,
        // A row is extended only if it gains a minute, and the next extension may be late.
        published_until: now + expires_in + MAX_AGE_OF_KEYS + 2 * MARGIN,
    };
    keys.iter().map(row).collect()
}
