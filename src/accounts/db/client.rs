//! A client of the database that limits the time of queries.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::{Instrument, debug_span};

use super::{
    error::is_pool_timeout,
    postgres::{find_cause_with, no_answer},
    sqlite::DatabaseFile,
};
use crate::problem::Problem;

/// The time limit of queries.
#[derive(Clone, Debug)]
enum TimeLimit {
    /// The limit of each query.
    Each(Duration),
    /// The remaining time of all queries of a request.
    Shared(Arc<Mutex<Duration>>),
}

impl TimeLimit {
    fn remaining(&self) -> Duration {
        match self {
            Self::Each(wait) => *wait,
            Self::Shared(left) => *left.lock(),
        }
    }

    fn spend(&self, time: Duration) {
        if let Self::Shared(left) = self {
            let mut left = left.lock();
            *left = left.saturating_sub(time);
        }
    }
}

/// The connections to a database.
#[derive(Clone, Copy, Debug)]
pub struct PoolStats {
    /// Connections in use.
    pub used: u32,
    /// Idle connections.
    pub idle: u32,
    /// The largest number of connections.
    pub limit: u32,
}

impl PoolStats {
    fn of(db: &DatabaseConnection) -> Self {
        fn stats<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> PoolStats {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            PoolStats {
                used: pool.size().saturating_sub(idle),
                idle,
                limit: pool.options().get_max_connections(),
            }
        }
        match db.get_database_backend() {
            DbBackend::Sqlite => stats(db.get_sqlite_connection_pool()),
            _ => stats(db.get_postgres_connection_pool()),
        }
    }
}

/// Why the accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    /// The database does not answer.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[from] DbErr),
    /// The migrations of the database do not match this version.
    #[error("the database is not up to date: {0}")]
    NotCurrent(String),
    /// The path leads to another file than the file that was opened.
    #[error("{0}")]
    File(#[from] Problem),
}

impl From<migration::Error> for ReadinessError {
    fn from(error: migration::Error) -> Self {
        Self::NotCurrent(error.to_string())
    }
}

/// A client of the database that limits the time of queries.
#[derive(Clone, Debug)]
pub(in crate::accounts) struct DatabaseClient {
    db: DatabaseConnection,
    /// The file of a SQLite database.
    file: Option<Arc<DatabaseFile>>,
    /// The time limit of a query, or of all queries of a request.
    wait: Duration,
    time_limit: TimeLimit,
    /// Why there was no connection, and when the cause was found.
    refusal: Arc<tokio::sync::Mutex<Option<(Instant, DbErr)>>>,
    /// Connections for statements that may wait for another writer. The other connections are for readers.
    write_permits: Arc<Semaphore>,
}

impl DatabaseClient {
    pub(in crate::accounts) fn new(db: DatabaseConnection, wait: Duration) -> Self {
        let writers = PoolStats::of(&db).limit.div_ceil(2);
        Self {
            file: DatabaseFile::of(&db).map(Arc::new),
            db,
            wait,
            time_limit: TimeLimit::Each(wait),
            refusal: Arc::default(),
            write_permits: Arc::new(Semaphore::new(writers as usize)),
        }
    }

    /// Returns the connections, without time limits.
    pub(in crate::accounts) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Returns the time limit of a query.
    pub(in crate::accounts) fn wait(&self) -> Duration {
        self.wait
    }

    /// Checks that the database answers, is up to date, and is still in the file that was opened.
    pub(in crate::accounts) async fn ready(&self) -> Result<(), ReadinessError> {
        if let Some(file) = &self.file {
            file.check()?;
        }
        let status = self.with_timeout(migration::status(&self.db)).await?;
        status.check()?;
        match status.pending.first() {
            None => Ok(()),
            Some(next) => Err(ReadinessError::NotCurrent(format!("{next} is pending"))),
        }
    }

    /// Returns the number of connections.
    pub(in crate::accounts) fn pool(&self) -> PoolStats {
        PoolStats::of(&self.db)
    }

    /// Returns a client for one request. Its queries share one time limit.
    pub(in crate::accounts) fn for_request(&self) -> Self {
        Self {
            time_limit: TimeLimit::Shared(Arc::new(Mutex::new(self.time_limit.remaining()))),
            ..self.clone()
        }
    }

    /// Runs a query with a time limit, because the answer of a frozen database never arrives.
    ///
    /// A query needs 14 KiB while it runs. The box keeps these bytes out of the future of the request, which is moved often.
    pub(in crate::accounts) fn with_timeout<'a, T: Send + 'a>(
        &'a self,
        query: impl Future<Output = Result<T, DbErr>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DbErr>> {
        let query = self.run_shared_query(query);
        query.instrument(debug_span!("database")).boxed()
    }

    /// Waits with a time limit for the result of a query that several requests share. The query checks the file of the database.
    pub(in crate::accounts) async fn with_shared_query<T>(
        &self,
        result: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let result = self.limit_time(result);
        result.instrument(debug_span!("database")).await
    }

    /// Runs a query that several requests share with a time limit. Each request has a separate span.
    pub(in crate::accounts) async fn run_shared_query<T>(
        &self,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        self.check_file()?;
        self.limit_time(query).await
    }

    async fn limit_time<T>(
        &self,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let remaining = self.time_limit.remaining();
        if remaining.is_zero() {
            return Err(no_answer(self.wait));
        }
        let started = Instant::now();
        // SQLite runs in this process and limits its waits. Canceling a query would cost the connection.
        let answered = if self.db.get_database_backend() == DbBackend::Sqlite {
            query.await
        } else {
            let query = async {
                match query.await {
                    // The box keeps the 4 KiB of a new connection out of the futures of all requests.
                    Err(error) if is_pool_timeout(&error) => {
                        Err(Box::pin(self.cause_of(error)).await)
                    }
                    answered => answered,
                }
            };
            let answered = timeout(remaining, query).await;
            answered.unwrap_or_else(|_| Err(no_answer(self.wait)))
        };
        self.time_limit.spend(started.elapsed());
        answered
    }

    /// Runs a statement that may wait for other writers of the same row. At most half of the connections run such statements.
    pub(in crate::accounts) fn write<'a, T: Send + 'a>(
        &'a self,
        query: impl Future<Output = Result<T, DbErr>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, DbErr>> {
        async move {
            let started = Instant::now();
            let permit = timeout(self.time_limit.remaining(), self.write_permits.acquire()).await;
            self.time_limit.spend(started.elapsed());
            match permit {
                Ok(_permit) => self.with_timeout(query).await,
                Err(_) => Err(no_answer(self.wait)),
            }
        }
        .boxed()
    }

    /// Rejects a SQLite database whose file was replaced, because the data of the old file is outdated.
    pub(in crate::accounts) fn check_file(&self) -> Result<(), DbErr> {
        match &self.file {
            Some(file) => file
                .check()
                .map_err(|error| DbErr::Conn(RuntimeErr::Internal(error.to_string()))),
            None => Ok(()),
        }
    }

    /// Returns why the pool had no connection. PostgreSQL may refuse connections because it has too many. Only one query at a time
    /// finds the cause, for all queries that fail in the same second.
    async fn cause_of(&self, error: DbErr) -> DbErr {
        const CURRENT: Duration = Duration::from_secs(1);
        let mut last = self.refusal.lock().await;
        if let Some((found, cause)) = &*last
            && found.elapsed() < CURRENT
        {
            return cause.clone();
        }
        let options = self.db.get_postgres_connection_pool().connect_options();
        let mut cause = find_cause_with(&options, error, self.wait).await;
        if is_pool_timeout(&cause) {
            let busy = format!("all {} connections are busy", self.pool().limit);
            cause = DbErr::Conn(RuntimeErr::Internal(busy));
        }
        *last = Some((Instant::now(), cause.clone()));
        cause
    }

    /// Closes every connection. SQLite then writes its log back to the file.
    pub(in crate::accounts) async fn close(&self) {
        // The next process that opens the database reports a failure.
        let _ = self.db.close_by_ref().await;
    }
}
