//! The accounts: the sea-orm entity, and every query on it.
//!
//! Nothing above this module speaks SQL, and nothing in it knows of HTTP or of tokens.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

mod attempts;
mod django;
pub mod email;
mod entity;
mod import;
mod store;

pub use attempts::GUESS;
pub use django::{DjangoTable, TableError};
pub use entity::{Model as User, PasswordHash};
pub use import::{Arrival, Collision, Fate, Import};
pub use sea_orm::{DatabaseConnection as Database, DbErr as DatabaseError};
pub use store::{Location, OpenError, is_temporary, open, open_with};

use entity::{ActiveModel, Column, Entity, retired};

/// The accounts in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    db: DatabaseConnection,
}

/// What an account is made from.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The id, or none for the next free one.
    pub id: Option<i64>,
    /// The e-mail as it is to be stored.
    pub email: String,
    /// The hash of the password, or none for an account that cannot log in.
    pub password: Option<PasswordHash>,
}

/// Why an account was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another account has this e-mail, perhaps in other case.
    #[error("an account with this e-mail exists (upper and lower case do not count)")]
    EmailTaken,
    /// Another account has, or had, this id.
    #[error(
        "this id is taken, or belonged to an account that was deleted: ids are never used again"
    )]
    IdTaken,
    /// The account is gone.
    #[error("there is no such account")]
    NoAccount,
    /// There is no room: on the disk, or above the largest id.
    #[error("the disk is full, or the largest id is taken: make room, or give a free id with --id")]
    NoRoom,
    /// The database did not do it.
    #[error("{0}{advice}", advice = store::advice(.0))]
    Database(#[from] DbErr),
}

impl Users {
    /// The accounts behind `db`, whose tables must be current.
    #[must_use]
    pub const fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    /// Ends every connection. Of a SQLite database, all is then in its one file.
    pub async fn close(&self) {
        // Whatever fails here is told by the next who opens it.
        let _ = self.db.close_by_ref().await;
    }

    /// The account with this e-mail, without regard to case.
    ///
    /// # Errors
    /// When the database does not answer; so for every query here.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>, DbErr> {
        Entity::find()
            .filter(Column::EmailKey.eq(email::key(email)))
            .one(&self.db)
            .await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_id(&self, id: i64) -> Result<Option<User>, DbErr> {
        Entity::find_by_id(id).one(&self.db).await
    }

    /// Every account, by id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(&self) -> Result<Vec<User>, DbErr> {
        Entity::find().order_by_asc(Column::Id).all(&self.db).await
    }

    /// How many accounts there are. It asks for no column that an older table may lack.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<i64, DbErr> {
        let count = Entity::find()
            .select_only()
            .column_as(Column::Id.count(), "accounts")
            .into_tuple()
            .one(&self.db)
            .await?;
        Ok(count.unwrap_or_default())
    }

    /// The next accounts that have a password, by id, and its hash: those after `last`, a page of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn hashes_after(&self, last: Option<i64>) -> Result<Vec<(i64, PasswordHash)>, DbErr> {
        Entity::find()
            .select_only()
            .columns([Column::Id, Column::Password])
            .filter(Column::Id.gt(last.unwrap_or(i64::MIN)))
            .filter(Column::Password.is_not_null())
            .order_by_asc(Column::Id)
            .limit(10_000)
            .into_tuple()
            .all(&self.db)
            .await
    }

    /// Adds an account. It sets no cut: there is no token to end.
    ///
    /// # Errors
    /// When the e-mail or the id is taken.
    pub async fn add(&self, new: NewUser, now: OffsetDateTime) -> Result<User, ChangeError> {
        let transaction = self.begin_to_write().await?;
        let account = ActiveModel {
            id: new.id.map_or(NotSet, Set),
            email_key: Set(email::key(&new.email)),
            email: Set(new.email),
            password: Set(new.password),
            is_active: Set(true),
            created: Set(now),
            last_login: Set(None),
            last_login_from: Set(None),
            imported_password: Set(None),
            password_changed: Set(now),
            tokens_valid_after: Set(0),
        };
        let added = account.insert(&transaction).await.map_err(conflict)?;
        let retired = retired::Entity::find_by_id(added.id)
            .one(&transaction)
            .await?;
        if retired.is_some() {
            return Err(ChangeError::IdTaken);
        }
        transaction.commit().await.map_err(conflict)?;
        Ok(added)
    }

    /// Sets another password, which ends every token issued before.
    ///
    /// Here as for every change that ends tokens, `now` is asked when nobody else can write any more: whoever
    /// logged in until then is ended, too.
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

    /// Sets another e-mail, which ends every token issued before: they name the old one.
    ///
    /// # Errors
    /// When the account is gone, or the e-mail is another account's.
    pub async fn set_email(
        &self,
        id: i64,
        email: String,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<User, ChangeError> {
        self.cut(id, now, |account, _| {
            account.email_key = Set(email::key(&email));
            account.email = Set(email);
        })
        .await
    }

    /// Ends every token issued before.
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

    /// Ends every token of every account that was issued before; returns how many accounts there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_all(&self, now: impl FnOnce() -> OffsetDateTime) -> Result<u64, DbErr> {
        let transaction = self.begin_to_write().await?;
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

    /// Disables or enables an account. Its tokens wait; they are not ended.
    ///
    /// # Errors
    /// When the account is gone.
    pub async fn set_active(&self, id: i64, is_active: bool) -> Result<User, ChangeError> {
        let change = Entity::update_many().col_expr(Column::IsActive, Expr::value(is_active));
        let rows = change
            .filter(Column::Id.eq(id))
            .exec_with_returning(&self.db)
            .await?;
        rows.into_iter().next().ok_or(ChangeError::NoAccount)
    }

    /// Deletes an account, and retires its id in the same transaction.
    ///
    /// # Errors
    /// When the account is gone.
    pub async fn delete(&self, id: i64) -> Result<(), ChangeError> {
        let transaction = self.begin_to_write().await?;
        let deleted = Entity::delete_by_id(id).exec(&transaction).await?;
        if deleted.rows_affected == 0 {
            return Err(ChangeError::NoAccount);
        }
        retired::Entity::insert(retired::ActiveModel { id: Set(id) })
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await.map_err(conflict)?;
        Ok(())
    }

    /// Records a login, if the account is still the one whose password was verified.
    ///
    /// The hash takes tens of milliseconds. An account that was disabled or revoked, or got another password
    /// or e-mail meanwhile, gives none; one that was only rehashed by a login beside this one is the same.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_login(
        &self,
        verified: &User,
        now: OffsetDateTime,
        from: Option<String>,
    ) -> Result<Option<User>, DbErr> {
        let rows = Entity::update_many()
            .col_expr(Column::LastLogin, Expr::value(now))
            .col_expr(Column::LastLoginFrom, Expr::value(from))
            .filter(Column::Id.eq(verified.id))
            .filter(Column::IsActive.eq(true))
            .filter(Column::PasswordChanged.eq(verified.password_changed))
            .filter(Column::EmailKey.eq(&verified.email_key))
            .filter(Column::TokensValidAfter.eq(verified.tokens_valid_after))
            .exec_with_returning(&self.db)
            .await?;
        Ok(rows.into_iter().next())
    }

    /// Replaces the hash of an unchanged password. It sets no cut.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rehash(&self, verified: &User, password: PasswordHash) -> Result<(), DbErr> {
        Entity::update_many()
            .col_expr(Column::Password, Expr::value(Some(password)))
            .filter(Column::Id.eq(verified.id))
            .filter(Column::Password.eq(verified.password.clone()))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// Makes a change that ends every token issued before.
    async fn cut(
        &self,
        id: i64,
        now: impl FnOnce() -> OffsetDateTime,
        change: impl FnOnce(&mut ActiveModel, OffsetDateTime),
    ) -> Result<User, ChangeError> {
        let transaction = self.begin_to_write().await?;
        let account = Entity::find_by_id(id)
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(ChangeError::NoAccount)?;
        let now = now();
        let mut changed = ActiveModel {
            id: Unchanged(id),
            tokens_valid_after: Set(cut(&account, now)),
            ..<ActiveModel as ActiveModelTrait>::default()
        };
        change(&mut changed, now);
        let account = changed.update(&transaction).await.map_err(conflict)?;
        transaction.commit().await.map_err(conflict)?;
        Ok(account)
    }

    /// A transaction that waits for other writers now, and not in its middle, where that would fail.
    async fn begin_to_write(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.db.begin_with_options(options).await
    }
}

/// The first second whose tokens outlive a change made at `now`: the next one. After a cut in this same
/// second, or a login by a clock that was ahead, tokens are stamped later already: the cut goes past them.
fn cut(account: &User, now: OffsetDateTime) -> i64 {
    let last_login = account.last_login.map_or(0, OffsetDateTime::unix_timestamp);
    let stamped = [now.unix_timestamp(), account.tokens_valid_after, last_login];
    stamped.into_iter().fold(0, Ord::max) + 1
}

/// Tells which uniqueness a change ran into.
fn conflict(error: DbErr) -> ChangeError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(what)) if what.contains("email_key") => {
            ChangeError::EmailTaken
        }
        Some(SqlErr::UniqueConstraintViolation(_)) => ChangeError::IdTaken,
        _ if store::is_full(&error) => ChangeError::NoRoom,
        _ => ChangeError::Database(error),
    }
}
