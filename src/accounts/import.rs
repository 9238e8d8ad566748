//! Imports accounts of another service in one transaction. Accounts keep their IDs. Tokens of the other service stay valid until an
//! update changes the password or the email.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

use super::{
    email,
    entity::{ActiveModel, Column, Entity, Model as Account, retired},
    store::AccountStore,
};

mod change;
mod existing;
mod record;

use change::Change;
use existing::ExistingAccounts;
pub use record::{
    ForcedFields, ImportConflict, ImportOutcome, ImportRecord, LocalChange, UpdateEffects,
};

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
        Ok(ExistingAccounts::new(accounts, retired))
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
