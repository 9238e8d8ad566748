//! What hashes cost, and how long those that are waiting or under way will take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Budget;

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

    /// What of the machine it holds while it is made, in thousandths: a thread, or more if it takes more memory.
    fn share(self, budget: &Budget) -> u64 {
        let memory = u64::from(self.memory_kib) * 1000 / u64::from(budget.memory_kib.max(1));
        memory.min(1000).max(1000 / budget.threads.max(1) as u64)
    }
}

/// What is admitted or waiting to be, and how long it takes.
#[derive(Default)]
pub(super) struct Load {
    /// By kind: units of work, times the share of the machine that they hold.
    queued: [AtomicU64; KINDS.len()],
    /// By kind: picoseconds a unit; 0 is not seen yet.
    pace: [AtomicU64; KINDS.len()],
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

    /// How long whoever comes now waits, as far as is known.
    pub(super) fn expected_wait(&self) -> Duration {
        let waits = KINDS.map(|kind| {
            let pace = match self.pace[kind as usize].load(Ordering::Relaxed) {
                0 => kind.usual_pace(),
                seen => seen,
            };
            time(
                self.queued[kind as usize].load(Ordering::Relaxed),
                pace / 1000,
            )
        });
        waits.iter().sum()
    }
}

/// Work that is waiting or under way, until it is dropped.
pub(super) struct Counted {
    load: Arc<Load>,
    kind: Kind,
    amount: u64,
}

impl Counted {
    pub(super) fn new(load: &Arc<Load>, weight: Weight, budget: &Budget) -> Self {
        let amount = weight.work.saturating_mul(weight.share(budget));
        load.queued[weight.kind as usize].fetch_add(amount, Ordering::Relaxed);
        Self {
            load: Arc::clone(load),
            kind: weight.kind,
            amount,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.load.queued[self.kind as usize].fetch_sub(self.amount, Ordering::Relaxed);
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

    const BUDGET: Budget = Budget {
        threads: 4,
        memory_kib: 40_000,
        wait: Duration::from_secs(3),
    };

    /// The wait behind so many hashes of this weight, before any was made.
    fn behind(count: usize, weight: Weight) -> Duration {
        let load = Arc::new(Load::default());
        let queue: Vec<_> = (0..count)
            .map(|_| Counted::new(&load, weight, &BUDGET))
            .collect();
        let expected = load.expected_wait();
        drop(queue);
        assert_eq!(load.expected_wait(), Duration::ZERO);
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
        let _queued = Counted::new(&load, seen, &BUDGET);
        let wait = load.expected_wait().as_secs_f64();
        assert!((0.95..1.05).contains(&wait), "{wait}");
        let other = Weight::new(Kind::Scrypt, 0, 1000);
        let _queued = Counted::new(&load, other, &BUDGET);
        let more = load.expected_wait().as_secs_f64() - wait;
        assert!((0.0007..0.0008).contains(&more), "{more}");
    }
}
