//! Imports records whose email another account has, after that account has changed its email.

use std::collections::HashMap;

use super::{parse::Origin, report::Report};
use crate::accounts::{DatabaseError, Import, ImportConflict, ImportOutcome, ImportRecord};

/// Records whose email another account has.
#[derive(Default)]
pub(super) struct Deferred {
    records: Vec<(ImportRecord, Origin)>,
    /// The IDs of the accounts that have the emails, by the ID of the record.
    holders: HashMap<i64, i64>,
}

impl Deferred {
    /// Adds a record if another account has its email. Otherwise, returns the record.
    pub(super) fn add(
        &mut self,
        record: ImportRecord,
        origin: Origin,
        outcome: &ImportOutcome,
    ) -> Option<(ImportRecord, Origin)> {
        if let ImportOutcome::Rejected(ImportConflict::Email(holder)) = outcome {
            self.holders.insert(record.id, *holder);
            self.records.push((record, origin));
            return None;
        }
        Some((record, origin))
    }

    /// Imports each record after the account that has its email. Accounts in a cycle exchange their emails. Rejects the records
    /// whose email is still in use at the end.
    pub(super) async fn import(
        mut self,
        import: &mut Import<'_>,
        report: &mut Report,
    ) -> Result<(), DatabaseError> {
        loop {
            let distances = distances(&self.holders);
            let is_in_cycle =
                |(record, _): &(ImportRecord, Origin)| distances.get(&record.id) == Some(&None);
            let (cycles, mut others): (Vec<_>, Vec<_>) =
                self.records.into_iter().partition(is_in_cycle);
            // Each record after the record of its holder, and otherwise in the order of the file.
            others.sort_by_key(|(record, origin)| {
                (distances.get(&record.id).copied(), origin.position)
            });
            let before = others.len();
            let (records, mut origins): (Vec<_>, Vec<_>) = cycles.into_iter().unzip();
            let mut imported = import.exchange_emails(records).await?;
            let (records, others): (Vec<_>, Vec<_>) = others.into_iter().unzip();
            imported.extend(import.retry(records).await?);
            origins.extend(others);
            let (mut stuck, done): (Vec<_>, Vec<_>) =
                imported
                    .into_iter()
                    .zip(origins)
                    .partition(|((_, outcome), _)| {
                        matches!(outcome, ImportOutcome::Rejected(ImportConflict::Email(_)))
                    });
            for ((record, outcome), origin) in done {
                report.imported(&record, &origin, &outcome, true);
            }
            if stuck.len() == before {
                stuck.sort_by_key(|(_, origin)| origin.position);
                for ((record, outcome), origin) in stuck {
                    report.imported(&record, &origin, &outcome, true);
                }
                return Ok(());
            }
            self = Self::default();
            for ((record, outcome), origin) in stuck {
                self.add(record, origin, &outcome);
            }
        }
    }
}

/// Counts for each record the other records that must be imported first. A record in a cycle has no count.
fn distances(holders: &HashMap<i64, i64>) -> HashMap<i64, Option<usize>> {
    let mut distances = HashMap::new();
    for id in holders.keys() {
        let mut path = Vec::new();
        let mut next = *id;
        let mut places = HashMap::new();
        // Stops at a record with a count, at a record of this path, or at an account without a record.
        while !distances.contains_key(&next) && !places.contains_key(&next) {
            let Some(holder) = holders.get(&next) else {
                break;
            };
            places.insert(next, path.len());
            path.push(next);
            next = *holder;
        }
        let cycle = places
            .get(&next)
            .map_or(Vec::new(), |first| path.split_off(*first));
        distances.extend(cycle.into_iter().map(|id| (id, None)));
        let mut before = distances.get(&next).copied().flatten();
        for id in path.into_iter().rev() {
            let count = before.map_or(0, |count| count + 1);
            before = Some(count);
            distances.insert(id, before);
        }
    }
    distances
}
