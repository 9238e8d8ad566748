//! The connection to the database: how it is, how long a query waits for it, and who waits for whom.

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx};
use tokio::time::timeout;
use tracing::{Instrument, debug_span};

use super::{FileError, Users};

/// Connections to a database.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// At work.
    pub used: u32,
    /// Waiting for work.
    pub idle: u32,
    /// How many there may be.
    pub limit: u32,
}

impl Pool {
    /// As it is now.
    pub(super) fn of(db: &DatabaseConnection) -> Self {
        fn told<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Pool {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            Pool {
                used: pool.size().saturating_sub(idle),
                idle,
                limit: pool.options().get_max_connections(),
            }
        }
        match db.get_database_backend() {
            DbBackend::Sqlite => told(db.get_sqlite_connection_pool()),
            _ => told(db.get_postgres_connection_pool()),
        }
    }
}

/// Why nothing can be asked of the accounts.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// The database does not answer.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[from] DbErr),
    /// Its tables are not those of this signet.
    #[error("the database is not up to date: {0}")]
    NotCurrent(String),
    /// Its file is not the one that was opened.
    #[error("{0}")]
    File(#[from] FileError),
}

impl From<migration::Error> for Unready {
    fn from(error: migration::Error) -> Self {
        Self::NotCurrent(error.to_string())
    }
}

impl Users {
    /// Whether the database answers, is up to date, and is still in the file that was opened.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ready(&self) -> Result<(), Unready> {
        if let Some(file) = &self.file {
            file.check()?;
        }
        let standing = self.within(migration::standing(&self.db)).await?;
        standing.check()?;
        match standing.pending.first() {
            None => Ok(()),
            Some(next) => Err(Unready::NotCurrent(format!("{next} is pending"))),
        }
    }

    /// The connections to the database.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::of(&self.db)
    }

    /// Gives up on a database that does not answer: a frozen one would be waited for without end.
    ///
    /// A query takes 14 KiB while it is under way. In a box of its own, it takes none of whoever may have to ask: what a
    /// request has to carry from layer to layer stays small.
    pub(super) fn within<'a, T: 'a>(
        &'a self,
        query: impl Future<Output = Result<T, DbErr>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DbErr>> {
        let query = self.bounded(query);
        query.instrument(debug_span!("database")).boxed()
    }

    /// The same for a query that many wait for: each has a span of its own.
    pub(super) async fn bounded<T>(
        &self,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        // SQLite is in this process: it bounds its waits itself, and what is cut in half costs its connection.
        if self.db.get_database_backend() == DbBackend::Sqlite {
            self.check_file()?;
            return query.await;
        }
        let answered = timeout(self.wait, query).await;
        answered.unwrap_or_else(|_| Err(self.gave_up()))
    }

    /// The same for what writes a row that others may be writing to.
    pub(super) fn write<'a, T: Send + 'a>(
        &'a self,
        query: impl Future<Output = Result<T, DbErr>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DbErr>> {
        async move {
            match timeout(self.wait, self.writers.acquire()).await {
                Ok(turn) => {
                    let done = self.within(query).await;
                    drop(turn);
                    done
                }
                Err(_) => Err(self.gave_up()),
            }
        }
        .boxed()
    }

    /// Rejects every use of a SQLite database whose file was replaced: what the old file holds is no longer true.
    pub(super) fn check_file(&self) -> Result<(), DbErr> {
        match &self.file {
            Some(file) => file
                .check()
                .map_err(|error| DbErr::Conn(RuntimeErr::Internal(error.to_string()))),
            None => Ok(()),
        }
    }

    fn gave_up(&self) -> DbErr {
        let told = format!("no answer in {:?}", self.wait);
        DbErr::Conn(RuntimeErr::Internal(told))
    }

    /// Ends every connection. Of a SQLite database, all is then in its one file.
    pub async fn close(&self) {
        // Whatever fails here is told by the next who opens it.
        let _ = self.db.close_by_ref().await;
    }
}
