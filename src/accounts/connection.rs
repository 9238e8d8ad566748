//! The connection to the database: how it is, how long a query waits for it, and who waits for whom.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::{Instrument, debug_span};

use super::{
    file::{DatabaseFile, FileError},
    store::{explained, is_pool_timeout, no_answer},
};

/// Time for queries.
#[derive(Clone, Debug)]
pub(super) enum Patience {
    /// For each query.
    Each(Duration),
    /// The rest of the time for all queries of a request.
    Shared(Arc<Mutex<Duration>>),
}

impl Patience {
    fn left(&self) -> Duration {
        match self {
            Self::Each(wait) => *wait,
            Self::Shared(left) => *left.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn spend(&self, time: Duration) {
        if let Self::Shared(left) = self {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.saturating_sub(time);
        }
    }
}

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

/// A client of the database that limits the time of queries.
#[derive(Clone, Debug)]
pub(super) struct DatabaseClient {
    db: DatabaseConnection,
    /// The file of a SQLite database.
    file: Option<Arc<DatabaseFile>>,
    /// The time limit of a query, or of all queries of a request.
    wait: Duration,
    patience: Patience,
    /// Why there was no connection, and when the cause was found.
    refusal: Arc<tokio::sync::Mutex<Option<(Instant, DbErr)>>>,
    /// Connections for statements that may wait for another writer. The other connections are for readers.
    write_permits: Arc<Semaphore>,
}

impl DatabaseClient {
    pub(super) fn new(db: DatabaseConnection, wait: Duration) -> Self {
        let writers = Pool::of(&db).limit.div_ceil(2);
        Self {
            file: DatabaseFile::of(&db).map(Arc::new),
            db,
            wait,
            patience: Patience::Each(wait),
            refusal: Arc::default(),
            write_permits: Arc::new(Semaphore::new(writers as usize)),
        }
    }

    /// Returns the connections, without time limits.
    pub(super) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Returns the time limit of a query.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Checks that the database answers, is up to date, and is still in the file that was opened.
    pub(super) async fn ready(&self) -> Result<(), Unready> {
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

    pub(super) fn pool(&self) -> Pool {
        Pool::of(&self.db)
    }

    /// Returns a client for one request. Its queries share one time limit.
    pub(super) fn for_request(&self) -> Self {
        Self {
            patience: Patience::Shared(Arc::new(Mutex::new(self.patience.left()))),
            ..self.clone()
        }
    }

    /// Gives up on a database that does not answer: a frozen one would be waited for without end.
    ///
    /// A query takes 14 KiB while it is under way. In a box of its own, it takes none of whoever may have to ask: what a
    /// request has to carry from layer to layer stays small.
    pub(super) fn within<'a, T: Send + 'a>(
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
        let left = self.patience.left();
        if left.is_zero() {
            return Err(self.gave_up());
        }
        let started = Instant::now();
        // SQLite is in this process and limits its own waits. To cancel a query would cost the connection.
        let answered = if self.db.get_database_backend() == DbBackend::Sqlite {
            self.check_file()?;
            query.await
        } else {
            let query = async {
                match query.await {
                    Err(error) if is_pool_timeout(&error) => Err(self.cause_of(error).await),
                    answered => answered,
                }
            };
            let answered = timeout(left, query).await;
            answered.unwrap_or_else(|_| Err(self.gave_up()))
        };
        self.patience.spend(started.elapsed());
        answered
    }

    /// The same for what writes a row that others may be writing to.
    pub(super) fn write<'a, T: Send + 'a>(
        &'a self,
        query: impl Future<Output = Result<T, DbErr>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DbErr>> {
        async move {
            let started = Instant::now();
            let turn = timeout(self.patience.left(), self.write_permits.acquire()).await;
            self.patience.spend(started.elapsed());
            match turn {
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
        no_answer(self.wait)
    }

    /// Returns why there was no connection for a query. One query at a time finds out, for all that fail in the same second:
    /// PostgreSQL may refuse connections since it has too many.
    async fn cause_of(&self, error: DbErr) -> DbErr {
        const CURRENT: Duration = Duration::from_secs(1);
        let mut last = self.refusal.lock().await;
        if let Some((found, cause)) = &*last
            && found.elapsed() < CURRENT
        {
            return cause.clone();
        }
        let options = self.db.get_postgres_connection_pool().connect_options();
        let mut cause = explained(&options, error, self.wait).await;
        if is_pool_timeout(&cause) {
            let busy = format!("all {} connections are busy", self.pool().limit);
            cause = DbErr::Conn(RuntimeErr::Internal(busy));
        }
        *last = Some((Instant::now(), cause.clone()));
        cause
    }

    pub(super) async fn close(&self) {
        // Whatever fails here is told by the next who opens it.
        let _ = self.db.close_by_ref().await;
    }
}
