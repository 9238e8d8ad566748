//! Rate limits of failed logins and invalid tokens.
//!
//! | attempt | counters |
//! |---|---|
//! | login from the address of the account's last login | the account at this address, and the address |
//! | login from another address | the account, and the address |
//! | refresh or verification with an invalid token | the address |
//!
//! The owner's address has a separate counter, so an attacker at another address cannot lock the owner out. A repeated password counts
//! once against an account, because an attacker learns only once from it. It counts each time against an address, because each login
//! computes a hash.
//! A successful login writes no counter. Clients of a Unix socket whose address is unknown share one counter.
//!
//! The algorithm is GCRA (generic cell rate algorithm): each failure moves the theoretical arrival time of a counter forward.
//! SECURITY.md states the guarantees and their limits.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::clock::unix_milliseconds;
use crate::accounts::{Account, AccountStore, DatabaseError, email};

mod in_flight;
mod quota;

use in_flight::{InFlight, InFlightAttempt};
pub use quota::{Quota, Quotas};

/// The client must wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate limited for {seconds} s")]
pub struct RateLimited {
    /// Seconds until the next attempt is allowed.
    pub seconds: u32,
}

/// Counts failures in the database, which all replicas share.
#[derive(Debug)]
pub struct RateLimiter {
    quotas: Option<Quotas>,
    in_flight: InFlight,
}

impl RateLimiter {
    /// Creates a rate limiter. Without quotas, all attempts are allowed.
    #[must_use]
    pub fn new(quotas: Option<Quotas>) -> Self {
        Self {
            quotas,
            in_flight: InFlight::default(),
        }
    }

    /// Checks whether a login of `email` from `address` with this password is allowed. `account` is the account with this email, if there
    /// is one.
    pub(super) async fn check_login(
        &self,
        accounts: &AccountStore,
        now: i64,
        email: &str,
        fingerprint: String,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Result<Result<InFlightAttempt, RateLimited>, DatabaseError> {
        let key = digest(&email::normalize(email));
        let from = ip_bucket(address);
        let is_known =
            account.is_some_and(|account| account.last_login_from.as_ref() == Some(&from));
        let subjects = self.quotas.map_or_else(Vec::new, |quotas| {
            vec![
                if is_known {
                    (format!("known:{key}:{from}"), quotas.account)
                } else {
                    (format!("account:{key}"), quotas.account)
                },
                (format!("address:{from}"), quotas.address),
            ]
        });
        self.check(accounts, now, subjects, Some(fingerprint)).await
    }

    /// Checks whether another invalid token from `address` is allowed.
    pub(super) async fn check_invalid_token(
        &self,
        accounts: &AccountStore,
        now: i64,
        address: Option<IpAddr>,
    ) -> Result<Result<InFlightAttempt, RateLimited>, DatabaseError> {
        let subjects = self.quotas.map_or_else(Vec::new, |quotas| {
            vec![(format!("garbage:{}", ip_bucket(address)), quotas.address)]
        });
        self.check(accounts, now, subjects, None).await
    }

    /// Returns how many failures of this account have not expired, from the address of the last login and from all other addresses.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures(
        &self,
        accounts: &AccountStore,
        now: OffsetDateTime,
        account: &Account,
    ) -> Result<u64, DatabaseError> {
        let Some(quotas) = self.quotas else {
            return Ok(0);
        };
        let key = digest(&email::normalize(&account.email));
        let known = account.last_login_from.as_ref();
        let known = known.map(|from| format!("known:{key}:{from}"));
        let subjects: Vec<_> = known
            .into_iter()
            .chain([format!("account:{key}")])
            .collect();
        let counters = accounts.attempts(&subjects).await?;
        Ok(quotas
            .account
            .unexpired_failures(&counters, unix_milliseconds(now)))
    }

    /// Clears the failures of an account from all addresses. Returns how many had not expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn clear_account(
        &self,
        accounts: &AccountStore,
        now: OffsetDateTime,
        account: &Account,
    ) -> Result<u64, DatabaseError> {
        let key = digest(&email::normalize(&account.email));
        let (subjects, known) = ([format!("account:{key}")], format!("known:{key}:"));
        let cleared = accounts.clear_attempts(&subjects, Some(&known)).await?;
        let now = unix_milliseconds(now);
        Ok(self
            .quotas
            .map_or(0, |quotas| quotas.account.unexpired_failures(&cleared, now)))
    }

    /// Clears the failures and the invalid tokens of an address, as named by [`ip_bucket`]. Returns how many had not expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn clear_address(
        &self,
        accounts: &AccountStore,
        now: OffsetDateTime,
        address: &str,
    ) -> Result<u64, DatabaseError> {
        let subjects = ["address", "garbage"].map(|kind| format!("{kind}:{address}"));
        let (cleared, now) = (
            accounts.clear_attempts(&subjects, None).await?,
            unix_milliseconds(now),
        );
        Ok(self
            .quotas
            .map_or(0, |quotas| quotas.address.unexpired_failures(&cleared, now)))
    }

    /// Lowers the counters above the upper limit. Such counters exist after a clock was set back.
    pub(super) async fn cap(&self, accounts: &AccountStore, now: i64) -> Result<(), DatabaseError> {
        for (kinds, quota) in self.kinds() {
            accounts
                .cap_attempts(&kinds, now + quota.max_debt())
                .await?;
        }
        Ok(())
    }

    /// Returns the number of counters above the upper limit. Such counters exist after a clock was set back.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ahead(
        &self,
        accounts: &AccountStore,
        now: OffsetDateTime,
    ) -> Result<u64, DatabaseError> {
        let mut ahead = 0;
        for (kinds, quota) in self.kinds() {
            let latest = unix_milliseconds(now) + quota.max_debt();
            ahead += accounts.attempts_after(&kinds, latest).await?;
        }
        Ok(ahead)
    }

    /// Returns the kinds of counters by quota.
    fn kinds(&self) -> impl Iterator<Item = ([&'static str; 2], Quota)> {
        self.quotas.into_iter().flat_map(|quotas| {
            [
                (["account", "known"], quotas.account),
                (["address", "garbage"], quotas.address),
            ]
        })
    }

    async fn check(
        &self,
        accounts: &AccountStore,
        now: i64,
        subjects: Vec<(String, Quota)>,
        fingerprint: Option<String>,
    ) -> Result<Result<InFlightAttempt, RateLimited>, DatabaseError> {
        // Attempts in flight are counted before the database is read. In the other order, an attempt that fails in between would be
        // missed by both.
        let (mut attempt, in_flight) = self.in_flight.start(subjects, fingerprint);
        if attempt.subjects.is_empty() {
            return Ok(Ok(attempt));
        }
        let names: Vec<_> = attempt.subjects.iter().map(|it| it.0.clone()).collect();
        let counters = accounts.attempts(&names).await?;
        let counter = |name: &String| counters.iter().find(|counter| counter.subject == *name);
        let mut wait = 0;
        for ((name, quota), in_flight) in attempt.subjects.iter().zip(in_flight) {
            let debt = counter(name).map_or(0, |counter| counter.settled_at - now);
            if debt > quota.max_debt() {
                // Otherwise the counter would start to expire only when the clock has caught up.
                accounts.cap_attempt(name, now + quota.max_debt()).await?;
            }
            let debt = debt.clamp(0, quota.max_debt());
            let over = debt + quota.emission_interval() - quota.period();
            // In-flight attempts count as failures until they finish. The client may retry after one second.
            let may_exceed = over + i64::from(in_flight) * quota.emission_interval() > 0;
            wait = wait.max(over).max(may_exceed.into());
        }
        if wait > 0 {
            // Rounded up, because an earlier attempt would fail.
            let seconds = u32::try_from(wait.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX);
            return Ok(Err(RateLimited { seconds }));
        }
        attempt.is_duplicate = match (&attempt.fingerprint, counter(&names[0])) {
            (Some(fingerprint), Some(counter)) => counter.remembers(fingerprint),
            _ => false,
        };
        Ok(Ok(attempt))
    }

    /// Counts a failed attempt.
    pub(super) async fn record_failure(
        &self,
        accounts: &AccountStore,
        now: i64,
        attempt: &InFlightAttempt,
    ) -> Result<(), DatabaseError> {
        // A repeated password counts against the address only. The counter of the account is the first one.
        let fingerprints = [attempt.fingerprint.as_deref(), None];
        let subjects = attempt.subjects.iter().zip(fingerprints);
        for ((name, quota), fingerprint) in subjects.skip(usize::from(attempt.is_duplicate)) {
            accounts
                .add_attempt(
                    name.clone(),
                    now,
                    quota.emission_interval(),
                    quota.max_debt(),
                    fingerprint,
                )
                .await?;
        }
        Ok(())
    }
}

/// Returns the name of the clients that count as one client: their IP address or network, or the Unix socket.
#[must_use]
pub fn ip_bucket(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unix".to_owned(), client_network)
}

/// Returns an IPv4 address, or an IPv6 network of 64 bits, because one client can use all addresses of such a network.
fn client_network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Hashes an email, so that the database does not contain the emails of attempts.
fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_of_one_network_count_as_one_client() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()), expected);
        }
    }
}
