//! Copies the data from one database to another, without the rows that are only for running processes.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    ModelTrait, PaginatorTrait,
};

use super::{
    attempts,
    contents::{Contents, ReadError, Row, Rows, for_each_table, next_page},
    entity,
    entity::retired,
    issuers, maintenance, signing_keys,
    store::AccountStore,
};

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
        original: Box<Contents>,
        /// The contents of the target.
        target: Box<Contents>,
    },
    /// The copy did not read all rows of the source, for example because an index of the source is damaged.
    #[error("the source has {expected} rows, but the copy read {read}")]
    Missed {
        /// The number of rows that were read.
        read: u64,
        /// The number of rows in the source.
        expected: u64,
    },
    /// The source failed.
    #[error("the source failed: {0}")]
    Source(ReadError),
    /// The target failed before the commit.
    #[error("the target failed: {0}")]
    Target(ReadError),
    /// The commit failed. It is unknown whether the rows of the target have changed.
    #[error("the commit of the target failed: {0}")]
    Commit(DbErr),
}

impl CopyError {
    /// Converts an error of the target.
    fn target(error: impl Into<ReadError>) -> Self {
        Self::Target(error.into())
    }

    /// Converts an error of the source.
    fn source(error: impl Into<ReadError>) -> Self {
        Self::Source(error.into())
    }
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
                return CopyError::target(error);
            }
            CopyError::Commit(error)
        })
    }
}

impl AccountStore {
    /// Copies all rows to `target`, which must be empty or is emptied. Calls `progress` with the number of rows of each batch.
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
        let source = self.begin_snapshot().await.map_err(CopyError::source)?;
        let maintenance = maintenance::Entity::find().one(&source).await;
        let in_maintenance = maintenance.map_err(CopyError::source)?.is_some();
        let times = Contents::check_times(&source).await;
        times.map_err(CopyError::source)?;
        let target = begin(target, replace).await?;
        let original =
            Contents(for_each_table!(R => copy::<R>(&source, &target, &mut progress).await?));
        let expected = count(&source).await.map_err(CopyError::source)?;
        let (read, expected) = (original.rows(), sum(&expected));
        if read != expected {
            return Err(CopyError::Missed { read, expected });
        }
        // The snapshot of the source is no longer needed.
        drop(source);
        let copied = Contents::read(&target).await.map_err(CopyError::target)?;
        if copied != original {
            return Err(CopyError::Differs {
                original: original.into(),
                target: copied.into(),
            });
        }
        Ok(PreparedCopy {
            transaction: target,
            contents: original,
            in_maintenance,
        })
    }

    /// Returns the number of rows in each table, by the name of a row in messages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn row_counts(&self) -> Result<[(&'static str, u64); 5], DbErr> {
        count(&self.begin_snapshot().await?).await
    }
}

/// Begins the transaction of the target, and deletes its rows if `replace` is set.
async fn begin(target: &AccountStore, replace: bool) -> Result<DatabaseTransaction, CopyError> {
    let target = target.begin_exclusive().await.map_err(CopyError::target)?;
    let prepare = async {
        if target.get_database_backend() == DbBackend::Postgres {
            // A service on the target would otherwise add rows during the copy.
            let lock =
                "LOCK TABLE users, retired_ids, attempts, signing_keys, issuers IN EXCLUSIVE MODE";
            target.execute_unprepared(lock).await?;
        }
        if replace {
            for_each_table!(R => <R as ModelTrait>::Entity::delete_many().exec(&target).await?);
        }
        count(&target).await
    };
    let rows = sum(&prepare.await.map_err(CopyError::target)?);
    if rows > 0 {
        return Err(CopyError::NotEmpty(rows));
    }
    Ok(target)
}

async fn count(db: &DatabaseTransaction) -> Result<[(&'static str, u64); 5], DbErr> {
    Ok(for_each_table!(R => (R::NAME, <R as ModelTrait>::Entity::find().count(db).await?)))
}

fn sum(counts: &[(&str, u64)]) -> u64 {
    counts.iter().map(|(_, rows)| rows).sum()
}

/// Copies a table, and returns the rows of the source.
async fn copy<R: Row>(
    source: &DatabaseTransaction,
    target: &DatabaseTransaction,
    mut progress: impl FnMut(u64),
) -> Result<(&'static str, Rows), CopyError> {
    let mut rows = Rows::default();
    let page = next_page::<R>(source, None).await;
    let mut page = page.map_err(CopyError::Source)?;
    while let Some(last) = page.last() {
        let after = last.key();
        for row in &page {
            rows.add(row);
        }
        progress(page.len() as u64);
        let models = page
            .into_iter()
            .map(|row| row.into_active_model().reset_all());
        let insert = R::Entity::insert_many(models).exec_without_returning(target);
        // One database reads while the other database writes.
        let (inserted, next) = tokio::join!(insert, next_page::<R>(source, Some(after)));
        inserted.map_err(CopyError::target)?;
        page = next.map_err(CopyError::Source)?;
    }
    Ok((R::TABLE, rows))
}
