//! When a published key may sign: the replicas record which keys they serve to verifiers.

use std::collections::HashSet;

use crate::accounts::{ServedKey, SigningKey};

/// The time for which verifiers may cache the key set, in seconds.
pub const JWKS_MAX_AGE: i64 = 600;
/// How long a read of the published keys is recent, in seconds. Each replica reads them more often. After this time, verifiers may not cache the
/// key set.
pub(in crate::auth) const MAX_AGE_OF_KEYS: i64 = 60;
/// A margin for the time of a transfer, and for the clocks of replicas, in seconds.
pub(super) const MARGIN: i64 = 60;
/// The time from when the last live replica begins to serve a key until the key may sign, in seconds. A replica that hangs has no recent
/// record. Verifiers do not cache its key set after [`MAX_AGE_OF_KEYS`].
pub const SIGNING_DELAY: i64 = JWKS_MAX_AGE + MAX_AGE_OF_KEYS + MARGIN;

/// The replicas that serve a published key to verifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingReplicas {
    /// The number of live replicas: replicas with a record of the last minute.
    pub live: usize,
    /// The number of live replicas that serve the key.
    pub serving: usize,
    /// When the key may sign, in Unix seconds. `None` while a live replica does not serve the key.
    pub signs_from: Option<i64>,
}

impl ServingReplicas {
    /// Evaluates the records of all replicas at `now`, in Unix seconds.
    #[must_use]
    pub fn new(key: &SigningKey, served: &[ServedKey], now: i64) -> Self {
        let records = served.iter().filter(|row| is_recent(row.seen_at, now));
        let replicas: HashSet<_> = records.clone().map(|row| &row.replica).collect();
        let of_key = records.filter(|row| row.kid == key.kid);
        // A time in the future is from a clock that was wrong.
        let since = of_key.clone().map(|row| row.served_since);
        let since = since.filter(|since| *since <= now);
        let last = since.fold(key.published_at, i64::max);
        let (live, serving) = (replicas.len(), of_key.count());
        Self {
            live,
            serving,
            signs_from: (serving == live).then(|| last.saturating_add(SIGNING_DELAY)),
        }
    }
}

/// Returns whether a read of the published keys is recent at `now`, so that verifiers may cache them. If a clock was set back, the time of the
/// read is in the future, and its age is unknown.
pub(super) fn is_recent(read_at: i64, now: i64) -> bool {
    now.abs_diff(read_at) <= MAX_AGE_OF_KEYS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 10_000;
    const PUBLISHED_AT: i64 = NOW - 500;

    fn record(replica: &str, kid: &str, served_since: i64, seen_at: i64) -> ServedKey {
        ServedKey {
            replica: replica.to_owned(),
            kid: kid.to_owned(),
            served_since,
            seen_at,
        }
    }

    /// Returns when the key `new` may sign, if a replica has served the key since its publication, and there is this record of another replica.
    fn signs_from(other: ServedKey) -> Option<i64> {
        let key = SigningKey {
            kid: "new".to_owned(),
            x: String::new(),
            y: String::new(),
            published_at: PUBLISHED_AT,
            published_until: i64::MAX,
        };
        let own = record("own", "new", PUBLISHED_AT, NOW);
        ServingReplicas::new(&key, &[own, other], NOW).signs_from
    }

    #[test]
    fn delay_begins_when_the_last_live_replica_serves_the_key() {
        let other =
            |served_since, seen_at| signs_from(record("other", "new", served_since, seen_at));
        assert_eq!(other(NOW - 7, NOW), Some(NOW - 7 + SIGNING_DELAY));
        assert_eq!(other(NOW - 7, NOW - 60), Some(NOW - 7 + SIGNING_DELAY));
        // The replica has stopped, or a clock was wrong.
        for (served_since, seen_at) in [(NOW - 7, NOW - 61), (NOW - 7, NOW + 61), (NOW + 1, NOW)] {
            let expected = Some(PUBLISHED_AT + SIGNING_DELAY);
            assert_eq!(other(served_since, seen_at), expected);
        }
    }

    #[test]
    fn key_waits_for_live_replicas_that_do_not_serve_it() {
        let other = |seen_at| signs_from(record("other", "old", 0, seen_at));
        assert_eq!(other(NOW), None);
        for seen_at in [NOW - 61, i64::MIN, i64::MAX] {
            assert_eq!(other(seen_at), Some(PUBLISHED_AT + SIGNING_DELAY));
        }
    }
}
