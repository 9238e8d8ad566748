//! The accounts: the sea-orm entity, and every query on it.
//!
//! Nothing above this module speaks SQL, and nothing in it knows of HTTP or of tokens.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, SqlErr,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

mod attempts;
mod connection;
mod cut;
mod django;
pub mod email;
mod entity;
mod file;
mod import;
mod list;
mod loader;
mod sample;
mod store;
mod vitals;

pub use attempts::{GUESS, Model as Attempts};
pub use connection::{Pool, Unready};
pub use django::{DjangoTable, TableError};
pub use entity::{Model as User, PasswordHash};
pub use file::FileError;
pub use import::{Arrival, Collision, Effects, Fate, Force, Import, LocalChange};
pub use list::{Details, Listed, Summary};
pub use loader::TokenSubject;
pub use sea_orm::{DatabaseConnection as Database, DbErr as DatabaseError};
pub use store::{
    Limits, Location, OpenError, advice, is_temporary, open, open_read_only, open_to_read,
};
pub use vitals::Vitals;

use connection::DatabaseClient;
use entity::{ActiveModel, Column, Entity, retired};
use loader::AccountLoader;

/// The accounts in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    database: DatabaseClient,
    loader: AccountLoader,
}

/// The largest ID that an operator or an import may give. A billion larger ones are left for automatic IDs, which continue after
/// the largest ID in use.
pub const LARGEST_GIVEN_ID: i64 = i64::MAX - 1_000_000_000;

/// The lock that changes by hand take, so that each finds what the one before it left. Logins do not.
const CHANGES: &str = "accounts";

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
    /// The disk is full.
    #[error("the disk is full: make room")]
    NoRoom,
    /// This is the largest possible ID, and an account has or had it.
    #[error(
        "no automatic ID is left: automatic IDs continue after the largest one ever used, which is {0}; \
         give a free ID with --id"
    )]
    NoIdLeft(i64),
    /// The database did not do it.
    #[error("{0}{advice}", advice = store::advice(.0))]
    Database(#[from] DbErr),
}

impl Users {
    /// The accounts behind `db`, whose tables must be current.
    #[must_use]
    pub fn new(db: DatabaseConnection, limits: Limits) -> Self {
        let database = DatabaseClient::new(db, limits.wait);
        let loader = AccountLoader::spawn(&database);
        Self { database, loader }
    }

    /// Checks that the database answers, is up to date, and is still in the file that was opened.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ready(&self) -> Result<(), Unready> {
        self.database.ready().await
    }

    /// Returns the connections to the database.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.database.pool()
    }

    /// Returns the accounts for one request. Its queries share one time limit: each query has the rest of the time.
    #[must_use]
    pub fn for_request(&self) -> Self {
        Self {
            database: self.database.for_request(),
            loader: self.loader.clone(),
        }
    }

    /// Closes every connection. Of a SQLite database, all is then in its one file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Returns the account that a token refers to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn token_subject(&self, id: i64) -> Result<Option<TokenSubject>, DbErr> {
        self.database.within(self.loader.load(id)).await
    }

    /// The account with this e-mail, without regard to case.
    ///
    /// # Errors
    /// When the database does not answer; so for every query here.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>, DbErr> {
        let found = Entity::find().filter(Column::EmailKey.eq(email::key(email)));
        self.database.within(found.one(self.database.db())).await
    }

    /// Returns the account with this ID.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_id(&self, id: i64) -> Result<Option<User>, DbErr> {
        self.database
            .within(Entity::find_by_id(id).one(self.database.db()))
            .await
    }

    /// Every account, by id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(&self) -> Result<Vec<User>, DbErr> {
        Entity::find()
            .order_by_asc(Column::Id)
            .all(self.database.db())
            .await
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
            .one(self.database.db())
            .await?;
        Ok(count.unwrap_or_default())
    }

    /// Adds an account. It sets no cut: there is no token to end.
    ///
    /// # Errors
    /// When the e-mail or the id is taken.
    pub async fn add(&self, new: NewUser, now: OffsetDateTime) -> Result<User, ChangeError> {
        let transaction = self.begin_to_write().await?;
        let id = match new.id {
            Some(id) => id,
            None => free_id(&transaction).await?,
        };
        let account = ActiveModel {
            id: Set(id),
            email_key: Set(email::key(&new.email)),
            email: Set(new.email),
            password: Set(new.password),
            is_active: Set(true),
            created: Set(now),
            last_login: Set(None),
            last_login_from: Set(None),
            imported_password: Set(None),
            imported_email: Set(None),
            imported_is_active: Set(None),
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

    /// Disables or enables an account. Its tokens wait; they are not ended. Returns the changed account, or `None` if the
    /// account was in that state already.
    ///
    /// # Errors
    /// When the account is gone.
    pub async fn set_active(&self, id: i64, is_active: bool) -> Result<Option<User>, ChangeError> {
        let change = Entity::update_many().col_expr(Column::IsActive, Expr::value(is_active));
        let rows = change
            .filter(Column::Id.eq(id))
            .filter(Column::IsActive.ne(is_active))
            .exec_with_returning(self.database.db())
            .await?;
        match rows.into_iter().next() {
            None if self.by_id(id).await?.is_none() => Err(ChangeError::NoAccount),
            changed => Ok(changed),
        }
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
    /// or e-mail meanwhile, is not; one that was only rehashed by a login beside this one is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_login(
        &self,
        verified: &User,
        now: OffsetDateTime,
        from: Option<String>,
    ) -> Result<bool, DbErr> {
        // A clock that was set back must not hide a token that was issued before: a cut goes past the last login.
        let known = Expr::col(Column::LastLogin);
        let latest = Expr::case(known.clone().gt(now), known).finally(now);
        let record = Entity::update_many()
            .col_expr(Column::LastLogin, latest.into())
            .col_expr(Column::LastLoginFrom, Expr::value(from))
            .filter(Column::Id.eq(verified.id))
            .filter(Column::IsActive.eq(true))
            .filter(Column::PasswordChanged.eq(verified.password_changed))
            .filter(Column::Email.eq(&verified.email))
            .filter(Column::TokensValidAfter.eq(verified.tokens_valid_after));
        // Without the row: SQLite would wake us for it before the commit, and for the commit again. Of one login alone, the threads of the
        // runtime are switched 15 times so, and 19 times with it.
        let recorded = self.database.write(record.exec(self.database.db())).await?;
        Ok(recorded.rows_affected > 0)
    }

    /// Replaces the hash of an unchanged password. It sets no cut.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rehash(&self, verified: &User, password: PasswordHash) -> Result<(), DbErr> {
        let rehash = Entity::update_many()
            .col_expr(Column::Password, Expr::value(Some(password)))
            .filter(Column::Id.eq(verified.id))
            .filter(Column::Password.eq(verified.password.clone()));
        self.database.write(rehash.exec(self.database.db())).await?;
        Ok(())
    }

    /// A transaction that waits for other changes by hand now, and not in its middle, where that would fail.
    async fn begin_to_write(&self) -> Result<DatabaseTransaction, DbErr> {
        self.database.check_file()?;
        let transaction = migration::begin(self.database.db()).await?;
        migration::hold(&transaction, CHANGES).await?;
        Ok(transaction)
    }
}

/// The id after all that are, or were, in use. The database would count by itself, but each in its own way: not past
/// one that was given by hand, or in steps of millions.
async fn free_id(transaction: &DatabaseTransaction) -> Result<i64, ChangeError> {
    let largest = Entity::find().order_by_desc(Column::Id).one(transaction);
    let retired = retired::Entity::find()
        .order_by_desc(retired::Column::Id)
        .one(transaction);
    let (largest, retired) = (largest.await?, retired.await?);
    let used = [largest.map(|user| user.id), retired.map(|gone| gone.id)];
    let used = used.into_iter().flatten().fold(0, Ord::max);
    used.checked_add(1).ok_or(ChangeError::NoIdLeft(used))
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
