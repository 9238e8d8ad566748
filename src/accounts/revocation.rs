//! Changes that revoke every token issued before, including tokens of the same second.
//!
//! The functions call `now` after they lock the account, so that tokens of concurrent logins are revoked, too.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait as _, Query},
};
use time::OffsetDateTime;

use super::{
    email,
    entity::{ActiveModel, Column, Entity, Model as Account, PasswordHash},
    store::{AccountStore, ChangeError, map_constraint_error},
};

impl AccountStore {
    /// Sets another password and revokes the tokens.
    ///
    /// # Errors
    /// When the account does not exist, or the database fails.
    pub async fn set_password(
        &self,
        id: i64,
        password: PasswordHash,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<Account, ChangeError> {
        self.revoke_and(id, now, |account, now| {
            account.password = Set(Some(password));
            account.password_changed = Set(now);
        })
        .await
    }

    /// Sets another email and revokes the tokens, which contain the old email. Returns the changed account, or `None` if the
    /// account has exactly this email already: then every token stays valid.
    ///
    /// # Errors
    /// When the account does not exist, or the email belongs to another account.
    pub async fn set_email(
        &self,
        id: i64,
        email: String,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<Option<Account>, ChangeError> {
        let key = email::normalize(&email);
        let locked = self.lock(id).await?;
        if locked.account.email == email && locked.account.email_key == key {
            return Ok(None);
        }
        let changed = locked.revoke_and(now, |account, _| {
            account.email_key = Set(key);
            account.email = Set(email);
        });
        changed.await.map(Some)
    }

    /// Revokes the tokens of an account.
    ///
    /// # Errors
    /// When the account does not exist, or the database fails.
    pub async fn revoke(
        &self,
        id: i64,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<Account, ChangeError> {
        self.revoke_and(id, now, |_, _| {}).await
    }

    /// Revokes the tokens of every account. Returns the number of accounts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_all(&self, now: impl FnOnce() -> OffsetDateTime) -> Result<u64, DbErr> {
        let transaction = self.begin_exclusive().await?;
        lock_all_accounts(&transaction).await?;
        let now = now();
        let next = now.unix_timestamp() + 1;
        let current = Expr::col(Column::TokensValidAfter);
        let stamp = Expr::case(current.clone().gte(next), current.add(1)).finally(next);
        let change = Entity::update_many().col_expr(Column::TokensValidAfter, stamp.into());
        let accounts = change.exec(&transaction).await?.rows_affected;
        // The clock was set back after these logins.
        let ahead = Entity::find().filter(Column::LastLogin.gt(now));
        for account in ahead.all(&transaction).await? {
            let further = ActiveModel {
                id: Unchanged(account.id),
                tokens_valid_after: Set(next_valid_after(&account, now)),
                ..<ActiveModel as ActiveModelTrait>::default()
            };
            further.update(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(accounts)
    }

    async fn revoke_and(
        &self,
        id: i64,
        now: impl FnOnce() -> OffsetDateTime,
        change: impl FnOnce(&mut ActiveModel, OffsetDateTime),
    ) -> Result<Account, ChangeError> {
        self.lock(id).await?.revoke_and(now, change).await
    }

    async fn lock(&self, id: i64) -> Result<Locked, ChangeError> {
        let transaction = self.begin_exclusive().await?;
        let account = Entity::find_by_id(id)
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(ChangeError::NoAccount)?;
        Ok(Locked {
            transaction,
            account,
        })
    }
}

/// An account that no other transaction changes until this transaction ends.
struct Locked {
    transaction: DatabaseTransaction,
    account: Account,
}

impl Locked {
    async fn revoke_and(
        self,
        now: impl FnOnce() -> OffsetDateTime,
        change: impl FnOnce(&mut ActiveModel, OffsetDateTime),
    ) -> Result<Account, ChangeError> {
        let now = now();
        let mut changed = ActiveModel {
            id: Unchanged(self.account.id),
            tokens_valid_after: Set(next_valid_after(&self.account, now)),
            ..<ActiveModel as ActiveModelTrait>::default()
        };
        change(&mut changed, now);
        let account = changed
            .update(&self.transaction)
            .await
            .map_err(map_constraint_error)?;
        self.transaction
            .commit()
            .await
            .map_err(map_constraint_error)?;
        Ok(account)
    }
}

/// Locks every account, so that no login is recorded. Transfers no rows.
async fn lock_all_accounts(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let accounts = Entity::find()
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .into_query();
    let lock = Query::select()
        .expr(Expr::col("id").count())
        .from_subquery(accounts, "locked")
        .to_owned();
    transaction.query_one(&lock).await.map(|_| ())
}

/// Returns the cutoff of a change at `now`, in Unix seconds: the next second, or the second after the last cutoff and the last login. Both
/// may be later than `now`, after another change in the same second or if the clock was ahead.
pub(super) fn next_valid_after(account: &Account, now: OffsetDateTime) -> i64 {
    let last_login = account.last_login.map_or(0, OffsetDateTime::unix_timestamp);
    let stamped = [now.unix_timestamp(), account.tokens_valid_after, last_login];
    stamped.into_iter().fold(0, Ord::max) + 1
}
