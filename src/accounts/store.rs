//! The accounts in one database.

use migration::{Lock, begin_locked};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, SqlErr,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

use super::{
    db::{DatabaseClient, Limits, PoolStats, ReadinessError, operator_hint},
    email,
    entity::{ActiveModel, Column, Entity, Model as Account, PasswordHash, retired},
    loader::{AccountLoader, TokenSubject},
};

/// The largest ID that an operator or an import may choose. A billion larger IDs are reserved for automatic IDs, which continue after
/// the largest ID in use.
pub const LARGEST_GIVEN_ID: i64 = i64::MAX - 1_000_000_000;

/// The accounts in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccountStore {
    pub(super) database: DatabaseClient,
    loader: AccountLoader,
}

/// The fields of a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The ID, or `None` for the next free ID.
    pub id: Option<i64>,
    /// The email to store.
    pub email: String,
    /// The hash of the password, or `None` for an account that cannot log in.
    pub password: Option<PasswordHash>,
}

/// Why an account was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another account has this email, or an email that differs only in case.
    #[error("an account with this email exists (case is ignored)")]
    EmailTaken,
    /// Another account has this ID, or a deleted account had this ID.
    #[error("this ID belongs to another account, or belonged to a deleted account")]
    IdTaken,
    /// The account does not exist.
    #[error("the account does not exist")]
    NoAccount,
    /// An account has or had the largest possible ID.
    #[error(
        "no automatic ID is left: automatic IDs continue after the largest ID that was ever used, {0}"
    )]
    NoIdLeft(i64),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl ChangeError {
    /// Returns how an operator can fix the cause, if the cause is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::EmailTaken | Self::NoAccount => None,
            Self::IdTaken => Some("choose another ID: IDs are never reused"),
            Self::NoIdLeft(_) => Some("choose a free ID with --id"),
            Self::Database(error) => operator_hint(error),
        }
    }
}

impl AccountStore {
    /// Returns the accounts of `db`. The migrations of `db` must be applied before the first query. Must be called in a runtime.
    #[must_use]
    pub fn new(db: DatabaseConnection, limits: Limits) -> Self {
        let database = DatabaseClient::new(db, limits.wait);
        let loader = AccountLoader::spawn(&database);
        Self { database, loader }
    }

    /// Checks that the database answers, is up to date, and is still in the file that was opened.
    ///
    /// # Errors
    /// When one of these checks fails.
    pub async fn ready(&self) -> Result<(), ReadinessError> {
        self.database.ready().await
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn pool(&self) -> PoolStats {
        self.database.pool()
    }

    /// Returns the accounts for one request. The queries of the request share one time limit.
    #[must_use]
    pub fn for_request(&self) -> Self {
        Self {
            database: self.database.for_request(),
            loader: self.loader.clone(),
        }
    }

    /// Closes every connection. SQLite then writes its log back to the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Returns the account that a token refers to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn token_subject(&self, id: i64) -> Result<Option<TokenSubject>, DbErr> {
        self.database.with_shared_query(self.loader.load(id)).await
    }

    /// Returns the account with this email. Case is ignored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_email(&self, email: &str) -> Result<Option<Account>, DbErr> {
        let found = Entity::find().filter(Column::EmailKey.eq(email::normalize(email)));
        let found = found.one(self.database.db());
        self.database.with_timeout(found).await
    }

    /// Returns the account with this ID.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_id(&self, id: i64) -> Result<Option<Account>, DbErr> {
        let found = Entity::find_by_id(id).one(self.database.db());
        self.database.with_timeout(found).await
    }

    /// Returns every account, ordered by ID.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(&self) -> Result<Vec<Account>, DbErr> {
        let accounts = Entity::find().order_by_asc(Column::Id);
        accounts.all(self.database.db()).await
    }

    /// Counts the accounts. Selects no column that an older table may lack.
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

    /// Returns the time of the latest login. No clock should be before this time. The creation of accounts does not count, because
    /// imports copy the time of creation from the source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn latest_login(&self) -> Result<Option<OffsetDateTime>, DbErr> {
        let latest = Entity::find()
            .select_only()
            .column_as(Column::LastLogin.max(), "last_login")
            .into_tuple::<Option<OffsetDateTime>>()
            .one(self.database.db());
        Ok(self.database.with_timeout(latest).await?.flatten())
    }

    /// Returns the number of accounts with a cutoff after this Unix second, and the latest of these cutoffs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cutoffs_after(&self, second: i64) -> Result<Option<(i64, i64)>, DbErr> {
        let after = Entity::find()
            .select_only()
            .column_as(Column::Id.count(), "accounts")
            .column_as(Column::TokensValidAfter.max(), "latest")
            .filter(Column::TokensValidAfter.gt(second))
            .into_tuple::<(i64, Option<i64>)>()
            .one(self.database.db());
        let after = self.database.with_timeout(after).await?;
        Ok(after.and_then(|(accounts, latest)| Some((accounts, latest?))))
    }

    /// Adds an account. The account has no tokens yet, so the cutoff is zero.
    ///
    /// # Errors
    /// When the email or the ID is taken, or the database fails.
    pub async fn add(&self, new: NewAccount, now: OffsetDateTime) -> Result<Account, ChangeError> {
        let transaction = self.begin_exclusive().await?;
        let id = match new.id {
            Some(id) => id,
            None => next_id(&transaction).await?,
        };
        let account = ActiveModel {
            id: Set(id),
            email_key: Set(email::normalize(&new.email)),
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
        let added = account
            .insert(&transaction)
            .await
            .map_err(map_constraint_error)?;
        let retired = retired::Entity::find_by_id(added.id)
            .one(&transaction)
            .await?;
        if retired.is_some() {
            return Err(ChangeError::IdTaken);
        }
        transaction.commit().await.map_err(map_constraint_error)?;
        Ok(added)
    }

    /// Disables or enables an account. Its tokens are not revoked: they work again when the account is enabled. Returns the changed
    /// account, or `None` if the account was in that state already.
    ///
    /// # Errors
    /// When the account does not exist, or the database fails.
    pub async fn set_active(
        &self,
        id: i64,
        is_active: bool,
    ) -> Result<Option<Account>, ChangeError> {
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

    /// Deletes an account, and retires its ID in the same transaction.
    ///
    /// # Errors
    /// When the account does not exist, or the database fails.
    pub async fn delete(&self, id: i64) -> Result<(), ChangeError> {
        let transaction = self.begin_exclusive().await?;
        let deleted = Entity::delete_by_id(id).exec(&transaction).await?;
        if deleted.rows_affected == 0 {
            return Err(ChangeError::NoAccount);
        }
        retired::Entity::insert(retired::ActiveModel { id: Set(id) })
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await.map_err(map_constraint_error)?;
        Ok(())
    }

    /// Records a login, unless the account changed while the password was verified, which takes tens of milliseconds. Returns whether
    /// the login was recorded.
    ///
    /// The login is not recorded if the account was disabled or revoked, or if its password or email changed. A new hash of the same
    /// password is no change.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_login(
        &self,
        verified: &Account,
        now: OffsetDateTime,
        from: Option<String>,
    ) -> Result<bool, DbErr> {
        // A cutoff is after the last login. So the last login never decreases, even if the clock was set back.
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
        // A returned row would wake this task once more before the commit.
        let record = record.exec(self.database.db());
        let recorded = self.database.write(record).await?;
        Ok(recorded.rows_affected > 0)
    }

    /// Replaces the hash of an unchanged password. The tokens stay valid.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rehash(&self, verified: &Account, password: PasswordHash) -> Result<(), DbErr> {
        let rehash = Entity::update_many()
            .col_expr(Column::Password, Expr::value(Some(password)))
            .filter(Column::Id.eq(verified.id))
            .filter(Column::Password.eq(verified.password.clone()));
        self.database.write(rehash.exec(self.database.db())).await?;
        Ok(())
    }

    /// Begins a transaction after other commands and imports have finished, so that it sees their changes. Logins do not acquire this lock.
    pub(super) async fn begin_exclusive(&self) -> Result<DatabaseTransaction, DbErr> {
        self.database.check_file()?;
        begin_locked(self.database.db(), Lock::Accounts, self.database.wait()).await
    }
}

/// Returns the ID after the largest ID that is or was in use. A sequence of the database would ignore IDs that an operator chose, and
/// some engines skip millions of IDs.
async fn next_id(transaction: &DatabaseTransaction) -> Result<i64, ChangeError> {
    let largest = Entity::find().order_by_desc(Column::Id).one(transaction);
    let retired = retired::Entity::find()
        .order_by_desc(retired::Column::Id)
        .one(transaction);
    let (largest, retired) = (largest.await?, retired.await?);
    let used = [
        largest.map(|account| account.id),
        retired.map(|retired| retired.id),
    ];
    let used = used.into_iter().flatten().fold(0, Ord::max);
    used.checked_add(1).ok_or(ChangeError::NoIdLeft(used))
}

/// Maps a violation of a unique constraint to its cause.
pub(super) fn map_constraint_error(error: DbErr) -> ChangeError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(constraint)) if constraint.contains("email_key") => {
            ChangeError::EmailTaken
        }
        Some(SqlErr::UniqueConstraintViolation(_)) => ChangeError::IdTaken,
        _ => ChangeError::Database(error),
    }
}
