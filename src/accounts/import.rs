//! Imports accounts of another service in one transaction. Accounts keep their IDs. Tokens of the other service stay valid until an
//! update changes the password or the email.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

use super::{
    email,
    entity::{ActiveModel, Column, Entity, Model as Account, PasswordHash, retired},
    revocation::next_valid_after,
    store::AccountStore,
};

/// An account of the source.
#[derive(Clone, Debug)]
pub struct ImportRecord {
    /// The ID in the source, which the account keeps.
    pub id: i64,
    /// The email as stored in the source.
    pub email: String,
    /// The hash of the password, or `None` if the account cannot log in.
    pub password: Option<PasswordHash>,
    /// A digest of the password field in the source.
    pub password_digest: String,
    /// Why the password cannot be imported. An existing account keeps its password.
    pub without_password: Option<String>,
    /// Whether the account is enabled.
    pub is_active: bool,
    /// When the account was added to the source, if known.
    pub created: Option<OffsetDateTime>,
    /// The last login in the source.
    pub last_login: Option<OffsetDateTime>,
}

/// The fields that an update overwrites although they were changed here.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForcedFields {
    /// The email.
    pub email: bool,
    /// Whether the account is active.
    pub is_active: bool,
}

/// A field that was changed here since the last import, and that an update does not overwrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalChange {
    /// The email here, and the email in the source.
    Email(String, String),
    /// Whether the account is active here. In the source it is the opposite.
    IsActive(bool),
}

impl fmt::Display for LocalChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(here, source) => {
                write!(f, "email is \"{here}\" here, \"{source}\" in the source")
            }
            Self::IsActive(here) => write!(f, "is_active is {here} here, {} in the source", !here),
        }
    }
}

/// The effects of an update on an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateEffects {
    /// The fields that keep their local values.
    pub preserved: Vec<LocalChange>,
    /// Whether the tokens of the account are revoked.
    pub revoked: bool,
}

/// The result of importing a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account was added.
    Added,
    /// The existing account was updated.
    Updated(UpdateEffects),
    /// The existing account did not change.
    Unchanged(UpdateEffects),
    /// The record was not imported.
    Rejected(ImportConflict),
}

/// Why a record was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportConflict {
    /// An earlier record has the same ID.
    #[error("the ID occurs more than once")]
    Repeated,
    /// Another account has the ID.
    #[error("{0} has the same ID")]
    Id(String),
    /// Another account has the email, or an email that differs only in case.
    #[error("account {0} has the same email (case is ignored)")]
    Email(i64),
    /// The password cannot be imported.
    #[error("{0}")]
    Password(String),
    /// A deleted account had the ID.
    #[error("the ID belonged to a deleted account, and IDs are never reused")]
    Retired,
}

/// Returns the current instant.
type Now<'a> = &'a (dyn Fn() -> OffsetDateTime + Sync);

/// Records with the results of their import, in the order of the records.
type Imported = Vec<(ImportRecord, ImportOutcome)>;

/// An import in progress. Dropping the import rolls it back.
pub struct Import<'a> {
    transaction: DatabaseTransaction,
    update: Option<ForcedFields>,
    clock: Now<'a>,
    /// The start of the import.
    now: OffsetDateTime,
    seen_ids: HashSet<i64>,
    /// The normalized emails of rejected records, with the account of the first such record.
    claims: HashMap<String, i64>,
}

impl AccountStore {
    /// Begins an import. Changes existing accounts only with `update`.
    ///
    /// # Errors
    /// When the database does not answer, or another process writes to it for too long.
    pub async fn import<'a>(
        &self,
        update: Option<ForcedFields>,
        clock: Now<'a>,
    ) -> Result<Import<'a>, DbErr> {
        Ok(Import {
            transaction: self.begin_exclusive().await?,
            update,
            clock,
            now: clock(),
            seen_ids: HashSet::new(),
            claims: HashMap::new(),
        })
    }
}

impl Import<'_> {
    /// The number of accounts per query.
    pub const BATCH: usize = 500;

    /// Imports records. Rejects records with an ID that an earlier record has.
    ///
    /// # Errors
    /// When the database does not answer. The import must be dropped then.
    pub async fn import(&mut self, mut records: Vec<ImportRecord>) -> Result<Imported, DbErr> {
        let mut is_repeated = Vec::with_capacity(records.len());
        for record in &mut records {
            // The cutoff of an account is after its last login. A future login would revoke future tokens.
            record.last_login = record.last_login.filter(|at| *at <= self.now);
            is_repeated.push(!self.seen_ids.insert(record.id));
        }
        self.write(records, &is_repeated).await
    }

    /// Imports records whose email was in use before. If several records have the same email, the first record gets
    /// the email.
    ///
    /// # Errors
    /// When the database does not answer. The import must be dropped then.
    pub async fn retry(&mut self, records: Vec<ImportRecord>) -> Result<Imported, DbErr> {
        self.claims.clear();
        let mut records = records.into_iter();
        let mut imported = Vec::with_capacity(records.len());
        while records.len() > 0 {
            let batch = records.by_ref().take(Self::BATCH).collect();
            imported.extend(self.write(batch, &[]).await?);
        }
        Ok(imported)
    }

    /// Imports records of accounts that exchange their emails in cycles.
    ///
    /// # Errors
    /// When the database does not answer, or when an account does not get its email, so that its temporary key would
    /// stay. The import must be dropped then.
    pub async fn exchange_emails(&mut self, records: Vec<ImportRecord>) -> Result<Imported, DbErr> {
        for ImportRecord { id, .. } in &records {
            let release_email = Entity::update_many()
                // A normalized email has no upper case, so that no account has this key.
                .col_expr(Column::EmailKey, Expr::value(format!("EXCHANGED {id}")))
                .filter(Column::Id.eq(*id));
            release_email.exec(&self.transaction).await?;
        }
        let imported = self.retry(records).await?;
        match imported
            .iter()
            .find(|(_, outcome)| !matches!(outcome, ImportOutcome::Updated(_)))
        {
            None => Ok(imported),
            Some((record, outcome)) => Err(DbErr::Custom(format!(
                "account {} did not get its email in an exchange: {outcome:?}",
                record.id
            ))),
        }
    }

    /// Imports a batch. Rejects the records at the places that are `true` in `is_repeated`.
    async fn write(
        &mut self,
        records: Vec<ImportRecord>,
        is_repeated: &[bool],
    ) -> Result<Imported, DbErr> {
        let mut existing = self.existing(&records).await?;
        let mut imported = Vec::with_capacity(records.len());
        let mut new = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            let outcome = if is_repeated.get(index) == Some(&true) {
                ImportOutcome::Rejected(ImportConflict::Repeated)
            } else if let Some(conflict) = existing.conflict(&record, self.update, &self.claims) {
                if let ImportConflict::Email(_) = conflict {
                    let key = email::normalize(&record.email);
                    self.claims.entry(key).or_insert(record.id);
                }
                ImportOutcome::Rejected(conflict)
            } else {
                match (existing.by_id.get(&record.id), self.update) {
                    (None, _) => {
                        let account = self.new_account(&record);
                        existing.add(account.clone());
                        new.push(ActiveModel::from(account).reset_all());
                        ImportOutcome::Added
                    }
                    (Some(_), None) => ImportOutcome::Unchanged(UpdateEffects::default()),
                    (Some(account), Some(forced)) => {
                        let (account, outcome) = self.update(account, &record, forced).await?;
                        if let Some(account) = account {
                            existing.add(account);
                        }
                        outcome
                    }
                }
            };
            imported.push((record, outcome));
        }
        if !new.is_empty() {
            Entity::insert_many(new)
                .exec_without_returning(&self.transaction)
                .await?;
        }
        Ok(imported)
    }

    /// Commits the import.
    ///
    /// # Errors
    /// When the database does not answer. The import is rolled back then.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.transaction.commit().await
    }

    /// Rolls the import back.
    ///
    /// # Errors
    /// When the database does not answer. The import is rolled back in this case, too.
    pub async fn roll_back(self) -> Result<(), DbErr> {
        self.transaction.rollback().await
    }

    /// Returns the accounts and retired IDs that may conflict with these records.
    async fn existing(&self, records: &[ImportRecord]) -> Result<ExistingAccounts, DbErr> {
        let ids = || records.iter().map(|record| record.id);
        let keys = records.iter().map(|record| email::normalize(&record.email));
        let accounts = Entity::find()
            .filter(Column::Id.is_in(ids()).or(Column::EmailKey.is_in(keys)))
            .all(&self.transaction)
            .await?;
        let retired = retired::Entity::find()
            .select_only()
            .column(retired::Column::Id)
            .filter(retired::Column::Id.is_in(ids()))
            .into_tuple()
            .all(&self.transaction)
            .await?;
        let mut existing = ExistingAccounts {
            retired,
            ..ExistingAccounts::default()
        };
        for account in accounts {
            existing.add(account);
        }
        Ok(existing)
    }

    fn new_account(&self, record: &ImportRecord) -> Account {
        Account {
            id: record.id,
            email: record.email.clone(),
            email_key: email::normalize(&record.email),
            password: record.password.clone(),
            is_active: record.is_active,
            created: record.created.unwrap_or(self.now),
            last_login: record.last_login,
            password_changed: self.now,
            imported_password: Some(record.password_digest.clone()),
            imported_email: Some(record.email.clone()),
            imported_is_active: Some(record.is_active),
            last_login_from: None,
            tokens_valid_after: 0,
        }
    }

    /// Updates the account. Returns the account if it was written.
    async fn update(
        &self,
        account: &Account,
        record: &ImportRecord,
        forced: ForcedFields,
    ) -> Result<(Option<Account>, ImportOutcome), DbErr> {
        let change = Change::new(account, record, forced, self.now);
        if !change.account.is_changed() {
            return Ok((None, change.outcome()));
        }
        // A login may have changed the row since it was read. Logins wait for this lock, and then fail if the account was
        // changed, so that the cutoff is after every token that was issued.
        let account = Entity::find_by_id(account.id)
            .lock_exclusive()
            .one(&self.transaction)
            .await?
            .ok_or(DbErr::RecordNotUpdated)?;
        let change = Change::new(&account, record, forced, (self.clock)());
        let outcome = change.outcome();
        let account = if change.account.is_changed() {
            change.account.update(&self.transaction).await?
        } else {
            account
        };
        Ok((Some(account), outcome))
    }
}

/// The changes of an update.
struct Change {
    account: ActiveModel,
    /// Whether the update changes more than the remembered values of the import.
    is_update: bool,
    effects: UpdateEffects,
}

impl Change {
    fn new(
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

    fn outcome(&self) -> ImportOutcome {
        let effects = self.effects.clone();
        if self.is_update {
            ImportOutcome::Updated(effects)
        } else {
            ImportOutcome::Unchanged(effects)
        }
    }
}

/// Returns whether an update keeps the email, because it was changed here since the last import.
fn keeps_email(account: &Account, forced: ForcedFields) -> bool {
    let imported = account.imported_email.as_ref();
    !forced.email && imported.is_some_and(|imported| *imported != account.email)
}

/// The accounts and retired IDs that may conflict with a batch, including accounts that the batch adds.
#[derive(Default)]
struct ExistingAccounts {
    by_id: HashMap<i64, Account>,
    by_key: HashMap<String, i64>,
    retired: Vec<i64>,
}

impl ExistingAccounts {
    fn add(&mut self, account: Account) {
        if let Some(before) = self.by_id.get(&account.id) {
            self.by_key.remove(&before.email_key);
        }
        self.by_key.insert(account.email_key.clone(), account.id);
        self.by_id.insert(account.id, account);
    }

    /// Returns why the record cannot be imported.
    fn conflict(
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
