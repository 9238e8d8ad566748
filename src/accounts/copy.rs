//! Copies everything that outlives a process from one database to another: accounts, retired IDs, and counters of failed attempts.

use std::fmt;

use sea_orm::{
    AccessMode, ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend,
    DbErr, EntityTrait, FromQueryResult, IntoActiveModel, IsolationLevel, ModelTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait, Value,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{attempts, entity, entity::retired, maintenance, store::AccountStore};

/// The number of rows in a query. SQLite accepts 32,766 parameters in a query, and an account has 13.
const BATCH: u64 = 1_000;

/// Why a copy failed. The rows of the target did not change, except perhaps after [`CopyError::Commit`].
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target has rows, and they must not be replaced.
    #[error("the target has {0} rows")]
    NotEmpty(u64),
    /// The rows in the target differ from the rows in the source.
    #[error("the target differs from the source: {target} instead of {original}")]
    Differs {
        /// The contents of the source.
        original: Contents,
        /// The contents of the target.
        target: Contents,
    },
    /// A database failed before the commit.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// The commit failed. It is unknown whether the rows of the target have changed.
    #[error("the commit failed: {0}")]
    Commit(DbErr),
}

/// A copy that is complete, but not committed. Dropping the copy rolls it back.
pub struct PreparedCopy {
    transaction: DatabaseTransaction,
    /// The contents of both databases.
    pub contents: Contents,
    /// Whether the source was in maintenance, so that no change of an account is missing.
    pub in_maintenance: bool,
}

impl PreparedCopy {
    /// Commits the copy. Must not be canceled, because the result would be unknown.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn commit(self) -> Result<(), CopyError> {
        let backend = self.transaction.get_database_backend();
        self.transaction.commit().await.map_err(|error| {
            if backend == DbBackend::Sqlite {
                // A failed commit of SQLite changes nothing.
                return CopyError::Database(error);
            }
            CopyError::Commit(error)
        })
    }
}

/// The contents of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The accounts.
    pub accounts: Rows,
    /// The IDs of deleted accounts.
    pub retired_ids: Rows,
    /// The counters of failed attempts.
    pub attempts: Rows,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accounts,
            retired_ids,
            attempts,
        } = self;
        write!(
            f,
            "accounts {accounts}, retired IDs {retired_ids}, attempts {attempts}"
        )
    }
}

/// The number of rows in a table, and their digest. The digest does not depend on the order of the rows, because the order of text
/// differs between databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The number of rows.
    pub count: u64,
    digest: u128,
}

impl Rows {
    fn add(&mut self, row: &impl Row) {
        let hash = Sha256::digest(row.canonical());
        let start = hash.first_chunk().expect("a hash has 32 bytes");
        self.count += 1;
        self.digest = self.digest.wrapping_add(u128::from_be_bytes(*start));
    }

    /// Returns the digest in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:032x}", self.digest)
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.count, self.digest())
    }
}

impl AccountStore {
    /// Copies all rows to `target`, which must be empty or is emptied. Calls `progress` with the number of accounts of each batch.
    ///
    /// The copy is one transaction of the target. The source is read in one snapshot. At the end, the rows in the target are read and
    /// compared.
    ///
    /// # Errors
    /// When the target has rows, or a database fails. No row of the target has changed then.
    pub async fn copy_to(
        &self,
        target: &Self,
        replace: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<PreparedCopy, CopyError> {
        let source = self.begin_snapshot().await?;
        let in_maintenance = maintenance::Entity::find().one(&source).await?.is_some();
        let target = target.begin_exclusive().await?;
        if target.get_database_backend() == DbBackend::Postgres {
            // A service on the target would otherwise add rows during the copy.
            let lock = "LOCK TABLE users, retired_ids, attempts IN EXCLUSIVE MODE";
            target.execute_unprepared(lock).await?;
        }
        if replace {
            attempts::Entity::delete_many().exec(&target).await?;
            retired::Entity::delete_many().exec(&target).await?;
            entity::Entity::delete_many().exec(&target).await?;
        } else {
            let rows = count(&target).await?.into_iter().sum();
            if rows > 0 {
                return Err(CopyError::NotEmpty(rows));
            }
        }
        let original = Contents {
            accounts: copy::<entity::Model>(&source, &target, &mut progress).await?,
            retired_ids: copy::<retired::Model>(&source, &target, |_| {}).await?,
            attempts: copy::<attempts::Model>(&source, &target, |_| {}).await?,
        };
        // The snapshot of the source is no longer needed.
        drop(source);
        let copied = Contents {
            accounts: read::<entity::Model>(&target).await?,
            retired_ids: read::<retired::Model>(&target).await?,
            attempts: read::<attempts::Model>(&target).await?,
        };
        if copied != original {
            return Err(CopyError::Differs {
                original,
                target: copied,
            });
        }
        Ok(PreparedCopy {
            transaction: target,
            contents: original,
            in_maintenance,
        })
    }

    /// Returns the numbers of accounts, of retired IDs, and of counters of failed attempts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn row_counts(&self) -> Result<[u64; 3], DbErr> {
        count(&self.begin_snapshot().await?).await
    }

    /// Returns the contents of one snapshot of the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn contents(&self) -> Result<Contents, DbErr> {
        let snapshot = self.begin_snapshot().await?;
        Ok(Contents {
            accounts: read::<entity::Model>(&snapshot).await?,
            retired_ids: read::<retired::Model>(&snapshot).await?,
            attempts: read::<attempts::Model>(&snapshot).await?,
        })
    }

    /// Begins a transaction whose queries all see the same rows.
    async fn begin_snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        let db = self.database.db();
        if db.get_database_backend() == DbBackend::Sqlite {
            // Each transaction of SQLite has a snapshot. Without a write-ahead log, it blocks writers.
            return db.begin().await;
        }
        let isolation = Some(IsolationLevel::RepeatableRead);
        db.begin_with_config(isolation, Some(AccessMode::ReadOnly))
            .await
    }
}

async fn count(db: &DatabaseTransaction) -> Result<[u64; 3], DbErr> {
    Ok([
        entity::Entity::find().count(db).await?,
        retired::Entity::find().count(db).await?,
        attempts::Entity::find().count(db).await?,
    ])
}

/// A row that is copied.
trait Row:
    ModelTrait + FromQueryResult + IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel>
{
    /// The primary key.
    const KEY: <Self::Entity as EntityTrait>::Column;

    /// Returns the value of the primary key.
    fn key(&self) -> Value {
        self.get(Self::KEY)
    }

    /// Returns a text that is equal for equal rows.
    fn canonical(&self) -> String;

    /// Removes the part of the times that PostgreSQL cannot store.
    fn in_microseconds(self) -> Self {
        self
    }
}

impl Row for entity::Model {
    const KEY: entity::Column = entity::Column::Id;

    fn canonical(&self) -> String {
        let at = |at: OffsetDateTime| at.unix_timestamp_nanos().div_euclid(1_000);
        let account = (
            self.id,
            &self.email,
            &self.email_key,
            self.password.as_ref().map(|hash| &hash.0),
            self.is_active,
            self.tokens_valid_after,
        );
        let times = (
            at(self.created),
            self.last_login.map(at),
            at(self.password_changed),
            &self.last_login_from,
        );
        let imported = (
            &self.imported_password,
            &self.imported_email,
            self.imported_is_active,
        );
        format!("{account:?}{times:?}{imported:?}")
    }

    fn in_microseconds(self) -> Self {
        let round = |at: OffsetDateTime| {
            at.replace_nanosecond(at.microsecond() * 1_000)
                .expect("fewer nanoseconds are valid")
        };
        Self {
            created: round(self.created),
            last_login: self.last_login.map(round),
            password_changed: round(self.password_changed),
            ..self
        }
    }
}

impl Row for retired::Model {
    const KEY: retired::Column = retired::Column::Id;

    fn canonical(&self) -> String {
        self.id.to_string()
    }
}

impl Row for attempts::Model {
    const KEY: attempts::Column = attempts::Column::Subject;

    fn canonical(&self) -> String {
        format!("{:?}", (&self.subject, self.settled_at, &self.last_guess))
    }
}

/// Copies a table, and returns the rows of the source.
async fn copy<R: Row>(
    source: &DatabaseTransaction,
    target: &DatabaseTransaction,
    mut progress: impl FnMut(u64),
) -> Result<Rows, DbErr> {
    let mut rows = Rows::default();
    let mut page = next_page::<R>(source, None).await?;
    while let Some(last) = page.last() {
        let after = last.key();
        for row in &page {
            rows.add(row);
        }
        progress(page.len() as u64);
        let models = page.into_iter().map(|row| {
            let row = match target.get_database_backend() {
                DbBackend::Postgres => row.in_microseconds(),
                _ => row,
            };
            row.into_active_model().reset_all()
        });
        let insert = R::Entity::insert_many(models).exec_without_returning(target);
        // One database reads while the other database writes.
        let (inserted, next) = tokio::join!(insert, next_page::<R>(source, Some(after)));
        inserted?;
        page = next?;
    }
    Ok(rows)
}

/// Reads a table.
async fn read<R: Row>(db: &DatabaseTransaction) -> Result<Rows, DbErr> {
    let mut rows = Rows::default();
    let mut page = next_page::<R>(db, None).await?;
    while let Some(last) = page.last() {
        let after = last.key();
        for row in &page {
            rows.add(row);
        }
        page = next_page::<R>(db, Some(after)).await?;
    }
    Ok(rows)
}

/// Returns the rows after a key.
async fn next_page<R: Row>(
    db: &DatabaseTransaction,
    after: Option<Value>,
) -> Result<Vec<R>, DbErr> {
    let mut page = R::Entity::find().order_by_asc(R::KEY).limit(BATCH);
    if let Some(after) = after {
        page = page.filter(R::KEY.gt(after));
    }
    page.into_model::<R>().all(db).await
}
