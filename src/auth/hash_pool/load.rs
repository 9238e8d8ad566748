//! What hashes cost, and how long those that are waiting or under way will take.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{HashPoolLimits, lock};

/// What is hashed with: each has a pace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) enum Kind {
    Argon2,
    Pbkdf2Sha1,
    Pbkdf2Sha256,
    Bcrypt,
    Scrypt,
}

const KINDS: [Kind; 5] = [
    Kind::Argon2,
    Kind::Pbkdf2Sha1,
    Kind::Pbkdf2Sha256,
    Kind::Bcrypt,
    Kind::Scrypt,
];

impl Kind {
    /// Picoseconds that a core of 2020 takes for a unit of work, which is what is reckoned with before
    /// anything was hashed.
    const fn usual_pace(self) -> u64 {
        match self {
            // A KiB, passed over once.
            Self::Argon2 => 700_000,
            // An iteration.
            Self::Pbkdf2Sha1 => 200_000,
            Self::Pbkdf2Sha256 => 300_000,
            // Two expansions of the key.
            Self::Bcrypt => 60_000_000,
            // A KiB, filled and mixed.
            Self::Scrypt => 3_000_000,
        }
    }
}

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) struct Weight {
    kind: Kind,
    /// Memory, in KiB.
    pub memory_kib: u32,
    work: u64,
}

impl Weight {
    /// A hash of so much memory and so many units of work.
    pub(in crate::auth) fn new(kind: Kind, memory_kib: u64, work: u64) -> Self {
        Self {
            kind,
            memory_kib: u32::try_from(memory_kib).unwrap_or(u32::MAX),
            work,
        }
    }

    /// How long it takes on a core of 2020.
    pub(in crate::auth) fn usual_time(self) -> Duration {
        time(self.work, self.kind.usual_pace())
    }

    /// The memory that it is given, in blocks of 1 KiB: only Argon2 does not bring its own.
    pub(super) fn blocks(self) -> usize {
        match self.kind {
            Kind::Argon2 => self.memory_kib as usize,
            _ => 0,
        }
    }

    /// How many hashes of this weight run at once.
    pub(super) fn at_once(self, budget: &HashPoolLimits) -> usize {
        budget.at_once(self.memory_kib)
    }

    /// What of the machine it holds while it is made, in thousandths: a thread, or more if it takes more memory.
    fn share(self, budget: &HashPoolLimits) -> u64 {
        let memory = u64::from(self.memory_kib) * 1000 / u64::from(budget.memory_kib.max(1));
        memory.min(1000).max(1000 / budget.threads.max(1) as u64)
    }
}

/// The work that is waiting or under way, by bucket (the clients that count as one), and how long it takes.
#[derive(Default)]
pub(super) struct Load {
    buckets: Mutex<HashMap<String, Bucket>>,
    /// By kind: picoseconds a unit; 0 is not seen yet.
    pace: [AtomicU64; KINDS.len()],
}

/// The work of one bucket. Removed with its last hash.
struct Bucket {
    hashes: usize,
    /// By kind: units of work, times the share of the machine that they hold.
    queued: [u64; KINDS.len()],
    turns: Arc<Semaphore>,
}

impl Load {
    /// Follows the pace, as the machine gets busier or calmer.
    pub(super) fn observe(&self, weight: Weight, took: Duration) {
        let seen = took.as_nanos() * 1000 / u128::from(weight.work.max(1));
        let seen = u64::try_from(seen).unwrap_or(u64::MAX);
        let pace = &self.pace[weight.kind as usize];
        let pace_now = match pace.load(Ordering::Relaxed) {
            0 => seen,
            known => known - known / 8 + seen / 8,
        };
        pace.store(pace_now, Ordering::Relaxed);
    }

    /// How long a client of this bucket would wait now: for the work of its own bucket, and meanwhile for as much of each other
    /// bucket, since buckets take turns. `usual` is what one turn costs. The account does not count, or the answer would depend on it.
    pub(super) fn expected_wait(&self, bucket: &str, usual: Weight) -> Expected {
        let pace = KINDS.map(
            |kind| match self.pace[kind as usize].load(Ordering::Relaxed) {
                0 => kind.usual_pace(),
                seen => seen,
            },
        );
        let total = |queued: &[u64; KINDS.len()]| -> Duration {
            let times = queued.iter().zip(pace);
            times.map(|(work, pace)| time(*work, pace / 1000)).sum()
        };
        let buckets = lock(&self.buckets);
        let own = buckets
            .get(bucket)
            .map_or(Duration::ZERO, |bucket| total(&bucket.queued));
        let turn = own + time(usual.work, pace[usual.kind as usize]);
        let others = buckets.iter().filter(|(name, _)| *name != bucket);
        let others: Duration = others
            .map(|(_, other)| total(&other.queued).min(turn))
            .sum();
        Expected {
            wait: own + others,
            own,
            alone: others.is_zero(),
        }
    }
}

/// How long a client would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) wait: Duration,
    /// For the work of its own bucket alone.
    pub(super) own: Duration,
    /// Whether no other bucket has any work.
    pub(super) alone: bool,
}

/// Work that is waiting or under way, until it is dropped.
pub(super) struct Counted {
    load: Arc<Load>,
    bucket: String,
    kind: Kind,
    amount: u64,
    /// Who may be in the line of all buckets: as many of a bucket as can be hashed for at once.
    pub(super) turns: Arc<Semaphore>,
}

impl Counted {
    pub(super) fn new(
        load: &Arc<Load>,
        bucket: &str,
        weight: Weight,
        turns: usize,
        budget: &HashPoolLimits,
    ) -> Self {
        let amount = weight.work.saturating_mul(weight.share(budget));
        let mut buckets = lock(&load.buckets);
        let entry = buckets.entry(bucket.to_owned()).or_insert_with(|| Bucket {
            hashes: 0,
            queued: [0; KINDS.len()],
            turns: Arc::new(Semaphore::new(turns)),
        });
        entry.hashes += 1;
        entry.queued[weight.kind as usize] += amount;
        let turns = Arc::clone(&entry.turns);
        drop(buckets);
        Self {
            load: Arc::clone(load),
            bucket: bucket.to_owned(),
            kind: weight.kind,
            amount,
            turns,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut buckets = lock(&self.load.buckets);
        if let Some(bucket) = buckets.get_mut(&self.bucket) {
            bucket.hashes -= 1;
            bucket.queued[self.kind as usize] -= self.amount;
            if bucket.hashes == 0 {
                buckets.remove(&self.bucket);
            }
        }
    }
}

/// So much work at such a pace, in picoseconds a unit.
fn time(work: u64, pace: u64) -> Duration {
    let nanoseconds = u128::from(work) * u128::from(pace) / 1000;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: HashPoolLimits = HashPoolLimits {
        threads: 4,
        memory_kib: 40_000,
        wait: Duration::from_secs(3),
    };

    /// The wait behind so many hashes of this weight, before any was made.
    fn behind(count: usize, weight: Weight) -> Duration {
        let load = Arc::new(Load::default());
        let queue: Vec<_> = (0..count)
            .map(|_| Counted::new(&load, "a", weight, 1, &BUDGET))
            .collect();
        let expected = load.expected_wait("a", weight).wait;
        drop(queue);
        assert_eq!(load.expected_wait("a", weight).wait, Duration::ZERO);
        assert!(lock(&load.buckets).is_empty());
        expected
    }

    #[test]
    fn the_wait_is_known_from_the_first_hash_on_and_counts_what_holds_it_up() {
        // Four threads.
        let small = Weight::new(Kind::Pbkdf2Sha256, 0, 1_000_000);
        assert_eq!(small.usual_time(), Duration::from_millis(300));
        assert_eq!(behind(8, small), Duration::from_millis(600));
        // Memory for two at once.
        let large = Weight::new(Kind::Argon2, 20_000, 1_000_000);
        assert_eq!(behind(8, large), Duration::from_millis(2800));
        // Memory for none: it runs alone.
        let alone = Weight::new(Kind::Argon2, 100_000, 1_000_000);
        assert_eq!(behind(2, alone), Duration::from_millis(1400));
    }

    #[test]
    fn each_kind_has_a_pace_of_its_own() {
        let load = Arc::new(Load::default());
        let seen = Weight::new(Kind::Bcrypt, 0, 4096);
        load.observe(seen, Duration::from_secs(4));
        let _queued = Counted::new(&load, "a", seen, 1, &BUDGET);
        let wait = load.expected_wait("a", seen).wait.as_secs_f64();
        assert!((0.95..1.05).contains(&wait), "{wait}");
        let other = Weight::new(Kind::Scrypt, 0, 1000);
        let _queued = Counted::new(&load, "a", other, 1, &BUDGET);
        let more = load.expected_wait("a", seen).wait.as_secs_f64() - wait;
        assert!((0.0007..0.0008).contains(&more), "{more}");
    }

    #[test]
    fn wait_of_a_bucket_does_not_depend_on_the_length_of_others() {
        // Four threads: 300 ms each.
        let weight = Weight::new(Kind::Pbkdf2Sha256, 0, 1_000_000);
        let load = Arc::new(Load::default());
        let queue = |bucket: &'static str, count: usize| -> Vec<_> {
            let hashes = (0..count).map(|_| Counted::new(&load, bucket, weight, 4, &BUDGET));
            hashes.collect()
        };
        let expected = |bucket: &str| load.expected_wait(bucket, weight);
        let long = queue("long", 400);
        assert_eq!(expected("long").wait, Duration::from_secs(30));
        assert!(expected("long").alone && !expected("new").alone);
        assert_eq!(expected("new").wait, Duration::from_millis(300));
        let _short = queue("short", 4);
        assert_eq!(expected("new").wait, Duration::from_millis(600));
        assert_eq!(expected("short").wait, Duration::from_millis(900));
        assert_eq!(expected("long").wait, Duration::from_millis(30_300));
        drop(long);
        assert_eq!(expected("new").wait, Duration::from_millis(300));
    }
}
