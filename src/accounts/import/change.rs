//! The rules of an update: which fields of an existing account change, and which keep their local values.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
};
use time::OffsetDateTime;

use super::record::{ForcedFields, ImportOutcome, ImportRecord, LocalChange, UpdateEffects};
use crate::accounts::{
    email,
    entity::{ActiveModel, Model as Account},
    revocation::next_valid_after,
};

/// The changes of an update.
pub(super) struct Change {
    pub(super) account: ActiveModel,
    /// Whether the update changes more than the remembered values of the import.
    is_update: bool,
    effects: UpdateEffects,
}

impl Change {
    pub(super) fn new(
        account: &Account,
        record: &ImportRecord,
        forced: ForcedFields,
        now: OffsetDateTime,
    ) -> Self {
        let mut change = Self {
            account: ActiveModel {
                id: Unchanged(account.id),
                ..<ActiveModel as ActiveModelTrait>::default()
            },
            is_update: false,
            effects: UpdateEffects::default(),
        };
        change.set_email(account, record, forced);
        change.set_is_active(account, record, forced);
        change.set_password(account, record, now);
        if let Some(created) = record.created.filter(|at| *at != account.created) {
            change.account.created = Set(created);
            change.is_update = true;
        }
        if record.last_login > account.last_login {
            change.account.last_login = Set(record.last_login);
            change.is_update = true;
        }
        if change.effects.revoked {
            change.account.tokens_valid_after = Set(next_valid_after(account, now));
            change.is_update = true;
        }
        change
    }

    fn set_email(&mut self, account: &Account, record: &ImportRecord, forced: ForcedFields) {
        if record.email == account.email || !keeps_email(account, forced) {
            if record.email != account.email {
                self.account.email = Set(record.email.clone());
                self.account.email_key = Set(email::normalize(&record.email));
                self.effects.revoked = true;
            }
            if account.imported_email.as_ref() != Some(&record.email) {
                self.account.imported_email = Set(Some(record.email.clone()));
            }
        } else {
            let (here, source) = (account.email.clone(), record.email.clone());
            self.effects
                .preserved
                .push(LocalChange::Email(here, source));
        }
    }

    fn set_is_active(&mut self, account: &Account, record: &ImportRecord, forced: ForcedFields) {
        // An account that was never imported and is disabled was disabled here.
        let is_local = !forced.is_active
            && account
                .imported_is_active
                .map_or(!account.is_active, |imported| imported != account.is_active);
        if record.is_active == account.is_active || !is_local {
            if record.is_active != account.is_active {
                self.account.is_active = Set(record.is_active);
                self.is_update = true;
            }
            if account.imported_is_active != Some(record.is_active) {
                self.account.imported_is_active = Set(Some(record.is_active));
            }
        } else {
            let preserved = LocalChange::IsActive(account.is_active);
            self.effects.preserved.push(preserved);
        }
    }

    fn set_password(&mut self, account: &Account, record: &ImportRecord, now: OffsetDateTime) {
        // If the source did not change the hash, a new hash here is from a login or an operator, and stays.
        if record.without_password.is_none()
            && account.imported_password.as_ref() != Some(&record.password_digest)
        {
            self.account.imported_password = Set(Some(record.password_digest.clone()));
            if account.password != record.password {
                self.account.password = Set(record.password.clone());
                self.account.password_changed = Set(now);
                self.effects.revoked = true;
            }
        }
    }

    pub(super) fn outcome(&self) -> ImportOutcome {
        let effects = self.effects.clone();
        if self.is_update {
            ImportOutcome::Updated(effects)
        } else {
            ImportOutcome::Unchanged(effects)
        }
    }
}

/// Returns whether an update keeps the email, because it was changed here since the last import.
pub(super) fn keeps_email(account: &Account, forced: ForcedFields) -> bool {
    let imported = account.imported_email.as_ref();
    !forced.email && imported.is_some_and(|imported| *imported != account.email)
}
