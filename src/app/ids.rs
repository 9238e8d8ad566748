//! The ids of requests: none is given twice, and none looks like the one before.

use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;
use poem::http::HeaderValue;

use crate::auth::random;

/// Odd, so that all numbers come before one comes again; and large, so that the first digits of each differ (the golden ratio).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives ids. To draw each from the system's generator would take a fiftieth of a refresh.
pub(super) struct Ids(AtomicU64);

impl Ids {
    /// Each process begins elsewhere: replicas give other ids.
    pub(super) fn begin() -> Self {
        Self(AtomicU64::new(u64::from_le_bytes(random::bytes())))
    }

    pub(super) fn next(&self) -> HeaderValue {
        let number = self.0.fetch_add(STEP, Ordering::Relaxed);
        let digits = HEXLOWER.encode(&number.to_be_bytes());
        HeaderValue::try_from(digits).expect("digits may stand in a header")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Ids;

    #[test]
    fn no_id_is_given_twice_by_one_process_or_by_two() {
        let processes = [Ids::begin(), Ids::begin()];
        let ids = processes
            .iter()
            .flat_map(|ids| (0..1000).map(|_| ids.next()));
        let ids: HashSet<_> = ids.collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }

    #[test]
    fn ids_that_follow_each_other_are_told_apart_at_a_glance() {
        let ids = Ids::begin();
        let starts: HashSet<_> = (0..10)
            .map(|_| ids.next().as_bytes()[0..2].to_owned())
            .collect();
        assert_eq!(starts.len(), 10);
    }
}
