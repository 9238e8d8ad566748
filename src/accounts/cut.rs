//! Changes that end every token issued before, in their own second too.
//!
//! `now` is asked when nobody else can write any more: whoever logged in until then is ended, too.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait as _, Query},
};
use time::OffsetDateTime;

use super::{
    ChangeError, User, Users, conflict, email,
    entity::{ActiveModel, Column, Entity, PasswordHash},
};

impl Users {
    /// Sets another password.
    ///
    /// # Errors
    /// When the account is gone.
    pub async fn set_password(
        &self,
        id: i64,
        password: PasswordHash,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<User, ChangeError> {
        self.cut(id, now, |account, now| {
            account.password = Set(Some(password));
            account.password_changed = Set(now);
        })
        .await
    }

    /// Sets another email and revokes the tokens, which name the old email. Returns the changed account, or `None` if the
    /// account has exactly this email already: then every token stays valid.
    ///
    /// # Errors
    /// When the account is gone, or the email belongs to another account.
    pub async fn set_email(
        &self,
        id: i64,
        email: String,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<Option<User>, ChangeError> {
        let key = email::key(&email);
        let locked = self.lock(id).await?;
        if locked.account.email == email && locked.account.email_key == key {
            return Ok(None);
        }
        let changed = locked.cut(now, |account, _| {
            account.email_key = Set(key);
            account.email = Set(email);
        });
        changed.await.map(Some)
    }

    /// Ends the tokens, and changes nothing else.
    ///
    /// # Errors
    /// When the account is gone.
    pub async fn revoke(
        &self,
        id: i64,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<User, ChangeError> {
        self.cut(id, now, |_, _| {}).await
    }

    /// Ends the tokens of every account; returns how many accounts there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_all(&self, now: impl FnOnce() -> OffsetDateTime) -> Result<u64, DbErr> {
        let transaction = self.begin_to_write().await?;
        hold_all(&transaction).await?;
        let now = now();
        let next = now.unix_timestamp() + 1;
        let current = Expr::col(Column::TokensValidAfter);
        let stamp = Expr::case(current.clone().gte(next), current.add(1)).finally(next);
        let change = Entity::update_many().col_expr(Column::TokensValidAfter, stamp.into());
        let accounts = change.exec(&transaction).await?.rows_affected;
        // Hardly ever any.
        let ahead = Entity::find().filter(Column::LastLogin.gt(now));
        for account in ahead.all(&transaction).await? {
            let further = ActiveModel {
                id: Unchanged(account.id),
                tokens_valid_after: Set(cut(&account, now)),
                ..<ActiveModel as ActiveModelTrait>::default()
            };
            further.update(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(accounts)
    }

    async fn cut(
        &self,
        id: i64,
        now: impl FnOnce() -> OffsetDateTime,
        change: impl FnOnce(&mut ActiveModel, OffsetDateTime),
    ) -> Result<User, ChangeError> {
        self.lock(id).await?.cut(now, change).await
    }

    async fn lock(&self, id: i64) -> Result<Locked, ChangeError> {
        let transaction = self.begin_to_write().await?;
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
    account: User,
}

impl Locked {
    async fn cut(
        self,
        now: impl FnOnce() -> OffsetDateTime,
        change: impl FnOnce(&mut ActiveModel, OffsetDateTime),
    ) -> Result<User, ChangeError> {
        let now = now();
        let mut changed = ActiveModel {
            id: Unchanged(self.account.id),
            tokens_valid_after: Set(cut(&self.account, now)),
            ..<ActiveModel as ActiveModelTrait>::default()
        };
        change(&mut changed, now);
        let account = changed.update(&self.transaction).await.map_err(conflict)?;
        self.transaction.commit().await.map_err(conflict)?;
        Ok(account)
    }
}

/// Waits until no login is recorded any more, without reading the accounts.
async fn hold_all(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let accounts = Entity::find()
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .into_query();
    let hold = Query::select()
        .expr(Expr::col("id").count())
        .from_subquery(accounts, "held")
        .to_owned();
    transaction.query_one(&hold).await.map(|_| ())
}

/// The first second whose tokens outlive a change made at `now`: the next one. After a cut in this same
/// second, or a login by a clock that was ahead, tokens are stamped later already: the cut goes past them.
pub(super) fn cut(account: &User, now: OffsetDateTime) -> i64 {
    let last_login = account.last_login.map_or(0, OffsetDateTime::unix_timestamp);
    let stamped = [now.unix_timestamp(), account.tokens_valid_after, last_login];
    stamped.into_iter().fold(0, Ord::max) + 1
}
