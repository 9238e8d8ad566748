//! The limits of failures.

use std::time::Duration;

use crate::accounts::Attempts as Counter;

/// A number of failures in a time. Old failures expire at a constant rate.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The number of failures, at least one.
    pub attempts: u32,
    /// The time in which all of them expire.
    pub per: Duration,
}

impl Quota {
    /// Returns the time in which one failure expires, in milliseconds.
    pub(super) fn emission_interval(self) -> i64 {
        (self.period() / i64::from(self.attempts)).max(1)
    }

    /// Returns the upper limit of a counter, in milliseconds. A burst of failures must not block an account for days.
    pub(super) fn max_debt(self) -> i64 {
        self.period().saturating_mul(4)
    }

    pub(super) fn period(self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX)
    }

    /// Returns how many failures have not expired.
    pub(super) fn unexpired_failures(self, counters: &[Counter], now: i64) -> u64 {
        let failures = counters.iter().map(|counter| {
            let debt = (counter.settled_at - now).clamp(0, self.max_debt());
            debt.unsigned_abs()
                .div_ceil(self.emission_interval().unsigned_abs())
        });
        failures.sum()
    }
}

/// The limits of failures.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Failures of one account.
    pub account: Quota,
    /// Failures of one address: an IPv4 address, or an IPv6 network of 64 bits.
    pub address: Quota,
}
