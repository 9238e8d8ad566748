//! The accounts that records of an import may conflict with.

use std::collections::HashMap;

use super::{
    change::keeps_email,
    record::{ForcedFields, ImportConflict, ImportRecord},
};
use crate::accounts::{email, entity::Model as Account};

/// The accounts and retired IDs that may conflict with a batch, including accounts that the batch adds.
#[derive(Default)]
pub(super) struct ExistingAccounts {
    pub(super) by_id: HashMap<i64, Account>,
    by_key: HashMap<String, i64>,
    retired: Vec<i64>,
}

impl ExistingAccounts {
    pub(super) fn new(accounts: Vec<Account>, retired: Vec<i64>) -> Self {
        let mut existing = Self {
            retired,
            ..Self::default()
        };
        for account in accounts {
            existing.add(account);
        }
        existing
    }

    pub(super) fn add(&mut self, account: Account) {
        if let Some(before) = self.by_id.get(&account.id) {
            self.by_key.remove(&before.email_key);
        }
        self.by_key.insert(account.email_key.clone(), account.id);
        self.by_id.insert(account.id, account);
    }

    /// Returns why the record cannot be imported.
    pub(super) fn conflict(
        &self,
        record: &ImportRecord,
        update: Option<ForcedFields>,
        claims: &HashMap<String, i64>,
    ) -> Option<ImportConflict> {
        let account = self.by_id.get(&record.id);
        let keeps_email = account
            .zip(update)
            .is_some_and(|(account, forced)| keeps_email(account, forced));
        let key = email::normalize(&record.email);
        // If earlier records have this email, and the account that had the email has changed, the first record gets the email.
        let holder = self.by_key.get(&key).or_else(|| claims.get(&key));
        match (account, holder) {
            (_, Some(id)) if *id != record.id && !keeps_email => Some(ImportConflict::Email(*id)),
            (Some(account), _) if update.is_none() && account.email_key != key => {
                Some(ImportConflict::Id(account.email.clone()))
            }
            (Some(_), _) => None,
            (None, _) if self.retired.contains(&record.id) => Some(ImportConflict::Retired),
            (None, _) => record
                .without_password
                .clone()
                .map(ImportConflict::Password),
        }
    }
}
