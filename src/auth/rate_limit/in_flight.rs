//! Attempts without an outcome. All of them may fail, so they count as failures until they finish.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::quota::Quota;

/// The attempts in flight: the fingerprints of their passwords, by counter.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<String, Vec<Option<String>>>>>);

/// An attempt without an outcome.
pub(in crate::auth) struct InFlightAttempt {
    /// The counters of the attempt: their names and limits.
    pub(super) subjects: Vec<(String, Quota)>,
    /// The start of a keyed hash of the email and the password. Invalid tokens have no fingerprint.
    pub(super) fingerprint: Option<String>,
    /// Whether the same password failed before.
    pub(super) is_duplicate: bool,
    in_flight: InFlight,
}

impl InFlight {
    /// Starts an attempt. Also returns the number of other passwords in flight, by counter. Equal passwords count once, because
    /// concurrent logins of an owner all use the same password.
    pub(super) fn start(
        &self,
        subjects: Vec<(String, Quota)>,
        fingerprint: Option<String>,
    ) -> (InFlightAttempt, Vec<u32>) {
        let mut in_flight = self.0.lock();
        let counts = subjects.iter().map(|(name, _)| {
            let attempts = in_flight.entry(name.clone()).or_default();
            let others: HashSet<_> = attempts
                .iter()
                .flatten()
                .filter(|other| fingerprint.as_ref() != Some(*other))
                .collect();
            let count = others.len() + attempts.iter().filter(|other| other.is_none()).count();
            attempts.push(fingerprint.clone());
            u32::try_from(count).unwrap_or(u32::MAX)
        });
        let counts = counts.collect();
        drop(in_flight);
        let attempt = InFlightAttempt {
            subjects,
            fingerprint,
            is_duplicate: false,
            in_flight: self.clone(),
        };
        (attempt, counts)
    }
}

impl Drop for InFlightAttempt {
    fn drop(&mut self) {
        let mut in_flight = self.in_flight.0.lock();
        for (name, _) in &self.subjects {
            if let Some(attempts) = in_flight.get_mut(name) {
                let is_own = |fingerprint: &Option<String>| *fingerprint == self.fingerprint;
                if let Some(own) = attempts.iter().position(is_own) {
                    attempts.swap_remove(own);
                }
                if attempts.is_empty() {
                    in_flight.remove(name);
                }
            }
        }
    }
}
