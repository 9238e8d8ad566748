//! Throttling of failed logins and of garbage tokens: who fails too often waits.
//!
//! | attempt | counted against |
//! |---|---|
//! | login, from the address of the account's last login | the account at that address, and the address |
//! | login, from elsewhere | the account, and the address |
//! | refresh with a token that does not verify | the address |
//!
//! So an attacker, who is elsewhere, cannot lock an owner out: the owner's own address has an account of its
//! own. A client that is stuck on one wrong password is counted once, since a guess that is repeated tells
//! nothing. Nothing is written when a login succeeds; what was counted leaks away by itself.
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
use crate::users::{DatabaseError, User, Users, email};

/// So many attempts in such a time: the first ones at once, the next ones as the earlier are forgiven.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The attempts, at least one.
    pub attempts: u32,
    /// The time in which all of them are forgiven.
    pub per: Duration,
}

impl Rate {
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
pub struct Rates {
    /// Against one account.
    pub account: Rate,
    /// From one address: an IPv4 address, or an IPv6 network of 64 bits.
    pub address: Rate,
}

/// Whoever asks must wait so long, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("throttled for another {seconds} seconds")]
pub struct Throttled {
    /// Until the next attempt is allowed.
    pub seconds: u32,
}

/// Counts failures in the database of the accounts, which replicas share.
#[derive(Debug)]
pub struct Throttle {
    rates: Option<Rates>,
    pending: Arc<Mutex<Pending>>,
}

/// The guesses that are not decided yet, by subject: they may all fail.
type Pending = HashMap<String, Vec<Option<String>>>;

/// An attempt that is being decided.
pub(super) struct Attempt {
    subjects: Vec<(String, Rate)>,
    /// The start of a keyed hash of what is tried, if it may be tried again.
    guess: Option<String>,
    /// The guess has failed before: it tells nothing, and counts for nothing.
    repeated: bool,
    pending: Arc<Mutex<Pending>>,
}

impl Throttle {
    /// A throttle of these rates, or none at all.
    #[must_use]
    pub fn new(rates: Option<Rates>) -> Self {
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
    ) -> Result<Result<Attempt, Throttled>, DatabaseError> {
        let account = digest(&email::key(email));
        let from = address.map(prefix);
        let known = from.is_some() && user.is_some_and(|user| user.last_login_from == from);
        let subjects = self.rates.map_or_else(Vec::new, |rates| match from {
            Some(from) => vec![
                if known {
                    (format!("known:{account}:{from}"), rates.account)
                } else {
                    (format!("account:{account}"), rates.account)
                },
                (format!("address:{from}"), rates.address),
            ],
            None => vec![(format!("account:{account}"), rates.account)],
        });
        self.allow(users, now, subjects, Some(guess)).await
    }

    /// Allows another token that does not verify from `address`.
    pub(super) async fn garbage(
        &self,
        users: &Users,
        now: i64,
        address: Option<IpAddr>,
    ) -> Result<Result<Attempt, Throttled>, DatabaseError> {
        let subjects = match (self.rates, address) {
            (Some(rates), Some(address)) => {
                vec![(format!("garbage:{}", prefix(address)), rates.address)]
            }
            _ => Vec::new(),
        };
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
        let (now, weight) = (milliseconds(now), rates.account.weight());
        let failures = users.attempts(&subjects).await?.into_iter().map(|bucket| {
            let level = (bucket.settled_at - now).max(0).unsigned_abs();
            level.div_ceil(weight.unsigned_abs())
        });
        Ok(failures.sum())
    }

    async fn allow(
        &self,
        users: &Users,
        now: i64,
        subjects: Vec<(String, Rate)>,
        guess: Option<String>,
    ) -> Result<Result<Attempt, Throttled>, DatabaseError> {
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
            let level = bucket(name).map_or(0, |bucket| (bucket.settled_at - now).max(0));
            let over = level + rate.weight() - rate.period();
            // What is undecided may all fail; but that is known in a moment.
            let undecided = i64::from(over + i64::from(ahead) * rate.weight() > 0);
            wait = wait.max(over).max(undecided);
        }
        if wait > 0 {
            // Rounded up: earlier would be in vain.
            let seconds = u32::try_from(wait.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX);
            return Ok(Err(Throttled { seconds }));
        }
        attempt.repeated = match (&attempt.guess, bucket(&names[0])) {
            (Some(guess), Some(bucket)) => bucket.remembers(guess),
            _ => false,
        };
        Ok(Ok(attempt))
    }

    /// An attempt, and how many other guesses are ahead of it undecided, by subject. Those who know the
    /// password all guess the same.
    fn attempt(&self, subjects: Vec<(String, Rate)>, guess: Option<String>) -> (Attempt, Vec<u32>) {
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
        if attempt.repeated {
            return Ok(());
        }
        // Of an address, it is not the guesses that count.
        let guesses = [attempt.guess.as_deref(), None];
        for ((name, rate), guess) in attempt.subjects.iter().zip(guesses) {
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

/// The part of an address that tells clients apart: whoever has an IPv6 address has 2^64 of them.
pub(super) fn prefix(address: IpAddr) -> String {
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
