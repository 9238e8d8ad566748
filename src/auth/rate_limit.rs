//! Throttling of failed logins and of garbage tokens: who fails too often waits.
//!
//! | attempt | counted against |
//! |---|---|
//! | login, from the address of the account's last login | the account at that address, and the address |
//! | login, from elsewhere | the account, and the address |
//! | refresh with a token that does not verify | the address |
//!
//! So an attacker, who is elsewhere, cannot lock an owner out: the owner's own address has an account of its
//! own. Against an account, a repeated guess counts once, since a repeated guess reveals nothing. Against an address, each
//! guess counts, since each guess costs a hash. Nothing is written when a login succeeds; what was counted leaks away by itself.
//! All clients of a Unix socket whose address no trusted proxy names share one address.
//! SECURITY.md tells what this promises, and what it does not.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::clock::milliseconds;
use crate::accounts::{Attempts as Bucket, DatabaseError, User, Users, email};

/// So many attempts in such a time: the first ones at once, the next ones as the earlier are forgiven.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The attempts, at least one.
    pub attempts: u32,
    /// The time in which all of them are forgiven.
    pub per: Duration,
}

impl Quota {
    /// How long one attempt takes to be forgiven, in milliseconds.
    fn weight(self) -> i64 {
        (self.period() / i64::from(self.attempts)).max(1)
    }

    /// The most that is held against anybody, in milliseconds: a volley must not close an account for days.
    fn most(self) -> i64 {
        self.period().saturating_mul(4)
    }

    fn period(self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX)
    }
}

/// How often one may fail.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Against one account.
    pub account: Quota,
    /// From one address: an IPv4 address, or an IPv6 network of 64 bits.
    pub address: Quota,
}

/// Whoever asks must wait so long, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("throttled for another {seconds} seconds")]
pub struct RateLimited {
    /// Until the next attempt is allowed.
    pub seconds: u32,
}

/// Counts failures in the database of the accounts, which replicas share.
#[derive(Debug)]
pub struct RateLimiter {
    rates: Option<Quotas>,
    pending: Arc<Mutex<Pending>>,
}

/// The guesses that are not decided yet, by subject: they may all fail.
type Pending = HashMap<String, Vec<Option<String>>>;

/// An attempt that is being decided.
pub(super) struct Attempt {
    subjects: Vec<(String, Quota)>,
    /// The start of a keyed hash of what is tried, if it may be tried again.
    guess: Option<String>,
    /// The guess has failed before: it reveals nothing, so only the address pays for it.
    repeated: bool,
    pending: Arc<Mutex<Pending>>,
}

impl RateLimiter {
    /// A throttle of these rates, or none at all.
    #[must_use]
    pub fn new(rates: Option<Quotas>) -> Self {
        Self {
            rates,
            pending: Arc::default(),
        }
    }

    /// Allows a login of `email` from `address` with this `guess`, or tells how long it must wait. `user` is the account, if
    /// there is one; there is no other difference between one that is and one that is not.
    pub(super) async fn login(
        &self,
        users: &Users,
        now: i64,
        email: &str,
        guess: String,
        user: Option<&User>,
        address: Option<IpAddr>,
    ) -> Result<Result<Attempt, RateLimited>, DatabaseError> {
        let account = digest(&email::key(email));
        let from = bucket(address);
        let known = user.is_some_and(|user| user.last_login_from.as_ref() == Some(&from));
        let subjects = self.rates.map_or_else(Vec::new, |rates| {
            vec![
                if known {
                    (format!("known:{account}:{from}"), rates.account)
                } else {
                    (format!("account:{account}"), rates.account)
                },
                (format!("address:{from}"), rates.address),
            ]
        });
        self.allow(users, now, subjects, Some(guess)).await
    }

    /// Allows another token that does not verify from `address`.
    pub(super) async fn garbage(
        &self,
        users: &Users,
        now: i64,
        address: Option<IpAddr>,
    ) -> Result<Result<Attempt, RateLimited>, DatabaseError> {
        let subjects = self.rates.map_or_else(Vec::new, |rates| {
            vec![(format!("garbage:{}", bucket(address)), rates.address)]
        });
        self.allow(users, now, subjects, None).await
    }

    /// How many failures of this account are not forgiven yet: from the address of its last login, and from
    /// everywhere else.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn failures(
        &self,
        users: &Users,
        now: OffsetDateTime,
        user: &User,
    ) -> Result<u64, DatabaseError> {
        let Some(rates) = self.rates else {
            return Ok(0);
        };
        let account = digest(&email::key(&user.email));
        let known = user.last_login_from.as_ref();
        let known = known.map(|from| format!("known:{account}:{from}"));
        let subjects: Vec<_> = known
            .into_iter()
            .chain([format!("account:{account}")])
            .collect();
        let buckets = users.attempts(&subjects).await?;
        Ok(count(&buckets, rates.account, milliseconds(now)))
    }

    /// Clears the failures of an account, from all addresses. Returns how many were not forgiven yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clear_account(
        &self,
        users: &Users,
        now: OffsetDateTime,
        user: &User,
    ) -> Result<u64, DatabaseError> {
        let account = digest(&email::key(&user.email));
        let (subjects, known) = ([format!("account:{account}")], format!("known:{account}:"));
        let cleared = users.clear_attempts(&subjects, Some(&known)).await?;
        let now = milliseconds(now);
        Ok(self
            .rates
            .map_or(0, |rates| count(&cleared, rates.account, now)))
    }

    /// Clears the failures and the invalid tokens of an address, as [`bucket`] names it. Returns how many were not forgiven yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clear_address(
        &self,
        users: &Users,
        now: OffsetDateTime,
        bucket: &str,
    ) -> Result<u64, DatabaseError> {
        let subjects = ["address", "garbage"].map(|kind| format!("{kind}:{bucket}"));
        let (cleared, now) = (
            users.clear_attempts(&subjects, None).await?,
            milliseconds(now),
        );
        Ok(self
            .rates
            .map_or(0, |rates| count(&cleared, rates.address, now)))
    }

    /// Lowers every count that ends later than the maximum, as after a clock was set back.
    pub(super) async fn cap(&self, users: &Users, now: i64) -> Result<(), DatabaseError> {
        for (kinds, rate) in self.kinds() {
            users.cap_attempts(&kinds, now + rate.most()).await?;
        }
        Ok(())
    }

    /// How many counts end later than the maximum: a clock was set back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ahead(&self, users: &Users, now: OffsetDateTime) -> Result<u64, DatabaseError> {
        let mut ahead = 0;
        for (kinds, rate) in self.kinds() {
            let latest = milliseconds(now) + rate.most();
            ahead += users.attempts_after(&kinds, latest).await?;
        }
        Ok(ahead)
    }

    /// The kinds of subjects, by rate.
    fn kinds(&self) -> impl Iterator<Item = ([&'static str; 2], Quota)> {
        self.rates.into_iter().flat_map(|rates| {
            [
                (["account", "known"], rates.account),
                (["address", "garbage"], rates.address),
            ]
        })
    }

    async fn allow(
        &self,
        users: &Users,
        now: i64,
        subjects: Vec<(String, Quota)>,
        guess: Option<String>,
    ) -> Result<Result<Attempt, RateLimited>, DatabaseError> {
        // Whoever is undecided now is counted before the database is read: were it the other way round,
        // one who is decided in between would be seen in neither.
        let (mut attempt, ahead) = self.attempt(subjects, guess);
        if attempt.subjects.is_empty() {
            return Ok(Ok(attempt));
        }
        let names: Vec<_> = attempt.subjects.iter().map(|it| it.0.clone()).collect();
        let attempts = users.attempts(&names).await?;
        let bucket = |name: &String| attempts.iter().find(|bucket| bucket.subject == *name);
        let mut wait = 0;
        for ((name, rate), ahead) in attempt.subjects.iter().zip(ahead) {
            let level = bucket(name).map_or(0, |bucket| bucket.settled_at - now);
            if level > rate.most() {
                // ParsedHash, since otherwise the count would start to leak only when the clock has caught up.
                users.cap_attempt(name, now + rate.most()).await?;
            }
            let level = level.clamp(0, rate.most());
            let over = level + rate.weight() - rate.period();
            // What is undecided may all fail; but that is known in a moment.
            let undecided = i64::from(over + i64::from(ahead) * rate.weight() > 0);
            wait = wait.max(over).max(undecided);
        }
        if wait > 0 {
            // Rounded up: earlier would be in vain.
            let seconds = u32::try_from(wait.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX);
            return Ok(Err(RateLimited { seconds }));
        }
        attempt.repeated = match (&attempt.guess, bucket(&names[0])) {
            (Some(guess), Some(bucket)) => bucket.remembers(guess),
            _ => false,
        };
        Ok(Ok(attempt))
    }

    /// An attempt, and how many other guesses are ahead of it undecided, by subject. Those who know the
    /// password all guess the same.
    fn attempt(
        &self,
        subjects: Vec<(String, Quota)>,
        guess: Option<String>,
    ) -> (Attempt, Vec<u32>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = subjects.iter().map(|(name, _)| {
            let undecided = pending.entry(name.clone()).or_default();
            let others: HashSet<_> = undecided
                .iter()
                .flatten()
                .filter(|other| guess.as_ref() != Some(*other))
                .collect();
            let ahead = others.len() + undecided.iter().filter(|other| other.is_none()).count();
            undecided.push(guess.clone());
            u32::try_from(ahead).unwrap_or(u32::MAX)
        });
        let ahead = ahead.collect();
        drop(pending);
        let attempt = Attempt {
            subjects,
            guess,
            repeated: false,
            pending: Arc::clone(&self.pending),
        };
        (attempt, ahead)
    }

    /// Counts an attempt that failed.
    pub(super) async fn failed(
        &self,
        users: &Users,
        now: i64,
        attempt: &Attempt,
    ) -> Result<(), DatabaseError> {
        // Against the account, only new guesses count; against the address, all.
        let guesses = [attempt.guess.as_deref(), None];
        let subjects = attempt.subjects.iter().zip(guesses);
        for ((name, rate), guess) in subjects.skip(usize::from(attempt.repeated)) {
            users
                .add_attempt(name.clone(), now, rate.weight(), rate.most(), guess)
                .await?;
        }
        Ok(())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, _) in &self.subjects {
            if let Some(undecided) = pending.get_mut(name) {
                if let Some(own) = undecided.iter().position(|guess| *guess == self.guess) {
                    undecided.swap_remove(own);
                }
                if undecided.is_empty() {
                    pending.remove(name);
                }
            }
        }
    }
}

/// How many failures at this rate are not forgiven yet.
fn count(buckets: &[Bucket], rate: Quota, now: i64) -> u64 {
    let failures = buckets.iter().map(|bucket| {
        let level = (bucket.settled_at - now).clamp(0, rate.most());
        level.unsigned_abs().div_ceil(rate.weight().unsigned_abs())
    });
    failures.sum()
}

/// Names the clients that count as one: the client's address, or the Unix socket for a client without an address.
#[must_use]
pub fn bucket(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unix".to_owned(), prefix)
}

/// The part of an address that tells clients apart: whoever has an IPv6 address has 2^64 of them.
fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// An e-mail that somebody tried is not for the database to keep in clear.
fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_by_what_its_client_cannot_choose() {
        for (address, told) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(prefix(address.parse().unwrap()), told);
        }
    }
}
