//! The cost of a hash, and the measured speed of each algorithm.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// An algorithm of stored hashes. Units of work and speeds differ between algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) enum HashAlgorithm {
    Argon2,
    Pbkdf2Sha1,
    Pbkdf2Sha256,
    Bcrypt,
    Scrypt,
}

impl HashAlgorithm {
    const COUNT: usize = Self::Scrypt as usize + 1;

    /// Returns the picoseconds that a CPU core of 2020 needs for one unit of work.
    const fn nominal_speed(self) -> u64 {
        match self {
            // One pass over one KiB.
            Self::Argon2 => 700_000,
            // One iteration.
            Self::Pbkdf2Sha1 => 200_000,
            Self::Pbkdf2Sha256 => 300_000,
            // Two expansions of the key.
            Self::Bcrypt => 60_000_000,
            // One KiB, filled and mixed.
            Self::Scrypt => 3_000_000,
        }
    }
}

/// The cost of one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) struct HashCost {
    algorithm: HashAlgorithm,
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Units of work of the algorithm.
    work: u64,
}

impl HashCost {
    pub(in crate::auth) fn new(algorithm: HashAlgorithm, memory_kib: u64, work: u64) -> Self {
        Self {
            algorithm,
            memory_kib: u32::try_from(memory_kib).unwrap_or(u32::MAX),
            work,
        }
    }

    /// Returns the time that a CPU core of 2020 needs.
    pub(in crate::auth) fn nominal_time(self) -> Duration {
        self.time(self.algorithm.nominal_speed())
    }

    /// Returns the size of the buffer that the caller must supply, in blocks of 1 KiB. Only Argon2 uses a buffer.
    pub(super) fn blocks(self) -> usize {
        match self.algorithm {
            HashAlgorithm::Argon2 => self.memory_kib as usize,
            _ => 0,
        }
    }

    fn time(self, picoseconds_per_unit: u64) -> Duration {
        let nanoseconds = u128::from(self.work) * u128::from(picoseconds_per_unit) / 1000;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// The measured speed of each algorithm on this machine: a moving average, in picoseconds per unit of work.
/// The nominal speed applies until the first measurement.
pub(super) struct MeasuredSpeed([AtomicU64; HashAlgorithm::COUNT]);

impl Default for MeasuredSpeed {
    fn default() -> Self {
        use HashAlgorithm::{Argon2, Bcrypt, Pbkdf2Sha1, Pbkdf2Sha256, Scrypt};
        let algorithms = [Argon2, Pbkdf2Sha1, Pbkdf2Sha256, Bcrypt, Scrypt];
        Self(algorithms.map(|algorithm| AtomicU64::new(algorithm.nominal_speed())))
    }
}

impl MeasuredSpeed {
    /// Returns the expected time of one hash.
    pub(super) fn expected_time(&self, cost: HashCost) -> Duration {
        cost.time(self.0[cost.algorithm as usize].load(Ordering::Relaxed))
    }

    /// Records that a hash of this cost took `elapsed`.
    pub(super) fn record(&self, cost: HashCost, elapsed: Duration) {
        let measured = elapsed.as_nanos() * 1000 / u128::from(cost.work.max(1));
        let measured = u64::try_from(measured).unwrap_or(u64::MAX);
        let speed = &self.0[cost.algorithm as usize];
        let average = speed.load(Ordering::Relaxed);
        // The first measurement replaces the nominal speed, which may be far off.
        let is_nominal = average == cost.algorithm.nominal_speed();
        let average = if is_nominal {
            measured
        } else {
            average - average / 8 + measured / 8
        };
        speed.store(average, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_speed_replaces_nominal_speed_of_one_algorithm() {
        let speed = MeasuredSpeed::default();
        let bcrypt = HashCost::new(HashAlgorithm::Bcrypt, 0, 4096);
        let scrypt = HashCost::new(HashAlgorithm::Scrypt, 0, 1000);
        assert_eq!(speed.expected_time(scrypt), Duration::from_millis(3));
        speed.record(bcrypt, Duration::from_secs(4));
        let expected = speed.expected_time(bcrypt).as_secs_f64();
        assert!((3.8..4.2).contains(&expected), "{expected}");
        assert_eq!(speed.expected_time(scrypt), scrypt.nominal_time());
    }
}
