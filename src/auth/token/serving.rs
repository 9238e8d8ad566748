//! When a published key may sign: the replicas record which keys they serve to verifiers.

use std::collections::HashSet;

use super::published::{JWKS_MAX_AGE, MARGIN, MAX_AGE_OF_KEYS};
use crate::accounts::{ServedKey, SigningKey};

/// The time from the last live replica that serves a key to the first signature of the key, in seconds. A replica that hangs has no new record,
/// and verifiers do not cache its keys after [`MAX_AGE_OF_KEYS`].
pub const SIGNING_DELAY: i64 = JWKS_MAX_AGE + MAX_AGE_OF_KEYS + MARGIN;

/// The replicas that serve a published key to verifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingReplicas {
    /// The number of replicas that have read the published keys in the last minute.
    pub live: usize,
    /// The number of live replicas that serve the key.
    pub serving: usize,
    /// Since when the last live replica serves the key, in Unix seconds.
    last: i64,
}

impl ServingReplicas {
    /// Evaluates the records of the replicas at `now`, in Unix seconds.
    #[must_use]
    pub fn new(key: &SigningKey, served: &[ServedKey], now: i64) -> Self {
        let is_live =
            |row: &&ServedKey| now.saturating_sub(row.seen_at).saturating_abs() <= MAX_AGE_OF_KEYS;
        let live = served.iter().filter(is_live);
        let serving = live.clone().filter(|row| row.kid == key.kid);
        Self {
            live: live.map(|row| &row.replica).collect::<HashSet<_>>().len(),
            serving: serving.clone().count(),
            last: serving
                .map(|row| row.served_since)
                .fold(key.published_at, i64::max),
        }
    }

    /// Returns when the key may sign, in Unix seconds. Returns `None` while a live replica does not serve the key.
    #[must_use]
    pub fn signs_from(&self) -> Option<i64> {
        self.signs_from_also_since(self.last)
    }

    /// Returns when the key may sign if one more replica serves the key, since `since`.
    pub(super) fn signs_from_also_since(&self, since: i64) -> Option<i64> {
        let last = self.last.max(since);
        (self.serving == self.live).then(|| last.saturating_add(SIGNING_DELAY))
    }
}
