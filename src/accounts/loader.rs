//! Loads the accounts that tokens refer to. Concurrent loads share a query.
//!
//! A query needs a round trip to the thread of SQLite or to PostgreSQL. A refresh uses about 60 us of CPU time if it is alone, and 17 us
//! if 64 refreshes share a query (docs/explanation/performance.md).

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QuerySelect, QueryTrait, RuntimeErr,
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, Receiver},
        oneshot,
    },
    task::yield_now,
    time::timeout,
};

use super::{
    db::{DatabaseClient, ping_timeout},
    entity::{Column, Entity},
};

/// The fields of an account that decide whether its token is refreshed.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct TokenSubject {
    /// The ID of the account.
    pub id: i64,
    /// The email as stored.
    pub email: String,
    /// Whether the account is enabled.
    pub is_active: bool,
    /// Tokens issued before this time are revoked. In Unix seconds.
    pub tokens_valid_after: i64,
}

/// The number of requests in a batch. Each request of a larger batch would wait longer.
const MAX_BATCH: usize = 64;
/// The number of requests that wait for a batch. Further requests wait for room in the queue.
const MAX_QUEUED: usize = 1024;
/// The time after which a query of SQLite no longer blocks the next batch.
const SLOW_AFTER: Duration = Duration::from_millis(20);

type LoadResult = Result<Option<TokenSubject>, DbErr>;

struct LoadRequest {
    id: i64,
    reply: oneshot::Sender<LoadResult>,
}

/// Queues requests for the workers. The workers stop when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct AccountLoader(mpsc::Sender<LoadRequest>);

impl AccountLoader {
    /// Spawns the workers. The workers use about half of the connections, so that logins always find a connection.
    pub(super) fn spawn(database: &DatabaseClient) -> Self {
        let slow_after = match database.db().get_database_backend() {
            DbBackend::Sqlite => SLOW_AFTER,
            // On a slow network every query is slow. A shorter time would let refreshes use connections that logins need.
            _ => ping_timeout(database.wait()),
        };
        let workers = database.pool().limit / 2 + 1;
        Self::with_workers(workers, slow_after, {
            let database = database.clone();
            move |ids| load(database.clone(), ids)
        })
    }

    fn with_workers<Q, F>(workers: u32, slow_after: Duration, query: Q) -> Self
    where
        Q: Fn(Vec<i64>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Accounts, DbErr>> + Send + 'static,
    {
        let (sender, requests) = mpsc::channel(MAX_QUEUED);
        let requests = Arc::new(Mutex::new(requests));
        for _ in 0..workers {
            let worker = Worker {
                requests: Arc::clone(&requests),
                slow_after,
                query: query.clone(),
            };
            tokio::spawn(worker.run());
        }
        Self(sender)
    }

    /// Returns the account with this ID. The query starts after this call, so the result is never older than the call.
    pub(super) async fn load(&self, id: i64) -> LoadResult {
        let failed = || DbErr::Conn(RuntimeErr::Internal("the account loader failed".to_owned()));
        let (reply, result) = oneshot::channel();
        let request = LoadRequest { id, reply };
        self.0.send(request).await.map_err(|_| failed())?;
        result.await.map_err(|_| failed())?
    }
}

/// Runs one batch after the other.
#[derive(Clone)]
struct Worker<Q> {
    /// The worker that holds the lock runs the next batch. Other requests then wait for the same batch after it, and share a query.
    requests: Arc<Mutex<Receiver<LoadRequest>>>,
    slow_after: Duration,
    query: Q,
}

impl<Q, F> Worker<Q>
where
    Q: Fn(Vec<i64>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Accounts, DbErr>> + Send + 'static,
{
    /// Runs batches until the last sender is dropped. After a panic, the requests of that batch fail and the worker continues.
    async fn run(self) {
        while tokio::spawn(self.clone().run_batches())
            .await
            .is_err_and(|error| error.is_panic())
        {}
    }

    async fn run_batches(self) {
        while let Some(()) = self.run_batch().await {}
    }

    /// Returns `None` after the last sender is dropped.
    async fn run_batch(&self) -> Option<()> {
        let mut requests = self.requests.lock().await;
        let mut batch = Vec::new();
        if requests.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return None;
        }
        // The tasks that received the previous results send their next requests soon. A larger batch needs fewer switches of threads.
        let mut size = 0;
        while size < batch.len() && batch.len() < MAX_BATCH {
            size = batch.len();
            yield_now().await;
            while batch.len() < MAX_BATCH
                && let Ok(request) = requests.try_recv()
            {
                batch.push(request);
            }
        }
        // Some clients may have given up.
        batch.retain(|request| !request.reply.is_closed());
        if batch.is_empty() {
            return Some(());
        }
        let mut query = pin!((self.query)(
            batch.iter().map(|request| request.id).collect()
        ));
        let loaded = if let Ok(loaded) = timeout(self.slow_after, &mut query).await {
            loaded
        } else {
            // The query may hang on its connection: another worker continues.
            drop(requests);
            query.await
        };
        for LoadRequest { id, reply } in batch {
            let result = match &loaded {
                Ok(accounts) => accounts.get(&id).cloned().transpose(),
                Err(error) => Err(error.clone()),
            };
            // The client may have given up meanwhile.
            let _ = reply.send(result);
        }
        Some(())
    }
}

type Accounts = HashMap<i64, Result<TokenSubject, DbErr>>;

/// Returns the accounts with these IDs. If a row is invalid, only the load of this account fails.
async fn load(database: DatabaseClient, mut ids: Vec<i64>) -> Result<Accounts, DbErr> {
    ids.sort_unstable();
    ids.dedup();
    // A connection caches a prepared statement for each number of IDs. With powers of two there are seven.
    ids.resize(ids.len().next_power_of_two(), ids[0]);
    let accounts = Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Email,
            Column::IsActive,
            Column::TokensValidAfter,
        ])
        .filter(Column::Id.is_in(ids))
        .into_query();
    let rows = database
        .run_shared_query(database.db().query_all(&accounts))
        .await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.try_get("", "id")?,
                TokenSubject::from_query_result(row, ""),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as SyncMutex;

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Semaphore;

    use super::*;

    const HANGS: i64 = -1;
    const PANICS: i64 = -2;
    const FAST: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::MAX;

    fn account(id: i64) -> TokenSubject {
        TokenSubject {
            id,
            email: format!("{id}@example.com"),
            is_active: true,
            tokens_valid_after: 0,
        }
    }

    /// Records the batches. A query waits for a permit.
    #[derive(Clone)]
    struct Database {
        batches: Arc<SyncMutex<Vec<Vec<i64>>>>,
        permits: Arc<Semaphore>,
    }

    impl Database {
        fn with_permits(permits: usize) -> Self {
            Self {
                batches: Arc::default(),
                permits: Arc::new(Semaphore::new(permits)),
            }
        }

        fn loader(&self, workers: u32, slow_after: Duration) -> AccountLoader {
            let database = self.clone();
            AccountLoader::with_workers(workers, slow_after, move |ids| {
                let database = database.clone();
                async move { database.query(ids).await }
            })
        }

        async fn query(&self, ids: Vec<i64>) -> Result<Accounts, DbErr> {
            self.batches.lock().unwrap().push(ids.clone());
            if ids.contains(&HANGS) {
                std::future::pending::<()>().await;
            }
            assert!(!ids.contains(&PANICS));
            self.permits.acquire().await.unwrap().forget();
            Ok(ids.into_iter().map(|id| (id, Ok(account(id)))).collect())
        }

        fn batches(&self) -> Vec<Vec<i64>> {
            self.batches.lock().unwrap().clone()
        }

        async fn until_batches(&self, count: usize) {
            while self.batches().len() < count {
                yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn concurrent_loads_share_a_query() {
        let database = Database::with_permits(0);
        let loader = database.loader(4, NEVER);
        let first = tokio::spawn({
            let loader = loader.clone();
            async move { loader.load(1).await }
        });
        database.until_batches(1).await;
        // These requests arrive during the first query.
        let others = join_all((2..=100).map(|id| loader.load(id)));
        let (others, ()) = tokio::join!(others, async {
            yield_now().await;
            database.permits.add_permits(3);
        });
        assert_eq!(first.await.unwrap().unwrap(), Some(account(1)));
        for (id, loaded) in (2..=100).zip(others) {
            assert_eq!(loaded.unwrap(), Some(account(id)));
        }
        let sizes: Vec<_> = database.batches().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, MAX_BATCH, 99 - MAX_BATCH]);
    }

    #[tokio::test]
    async fn load_does_not_join_a_query_that_started_before() {
        let database = Database::with_permits(0);
        let loader = database.loader(1, NEVER);
        let first = tokio::spawn({
            let loader = loader.clone();
            async move { loader.load(1).await }
        });
        database.until_batches(1).await;
        database.permits.add_permits(2);
        loader.load(1).await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(database.batches(), [[1], [1]]);
    }

    #[tokio::test]
    async fn abandoned_request_is_not_queried() {
        let database = Database::with_permits(0);
        let loader = database.loader(1, NEVER);
        let first = tokio::spawn({
            let loader = loader.clone();
            async move { loader.load(1).await }
        });
        database.until_batches(1).await;
        timeout(FAST, loader.load(2)).await.unwrap_err();
        database.permits.add_permits(2);
        first.await.unwrap().unwrap();
        loader.load(3).await.unwrap();
        assert_eq!(database.batches(), [[1], [3]]);
    }

    #[tokio::test]
    async fn hanging_query_blocks_only_its_own_requests() {
        let database = Database::with_permits(10);
        let loader = database.loader(2, FAST);
        let hanging = loader.load(HANGS);
        let mut hanging = pin!(hanging);
        timeout(FAST, &mut hanging).await.unwrap_err();
        for id in 1..5 {
            assert_eq!(loader.load(id).await.unwrap(), Some(account(id)));
        }
        timeout(FAST, hanging).await.unwrap_err();
    }

    #[tokio::test]
    async fn number_of_hanging_queries_is_limited() {
        let database = Database::with_permits(10);
        let loader = database.loader(2, FAST);
        for _ in 0..2 {
            timeout(FAST * 5, loader.load(HANGS)).await.unwrap_err();
        }
        timeout(FAST * 5, loader.load(1)).await.unwrap_err();
        assert_eq!(database.batches(), [[HANGS], [HANGS]]);
    }

    #[tokio::test]
    async fn panic_fails_only_its_own_requests() {
        let database = Database::with_permits(10);
        let loader = database.loader(1, NEVER);
        loader.load(PANICS).await.unwrap_err();
        assert_eq!(loader.load(1).await.unwrap(), Some(account(1)));
    }

    #[test]
    fn queued_requests_fail_when_the_workers_stop() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let database = Database::with_permits(0);
        let loader = runtime.block_on(async { database.loader(1, NEVER) });
        let mut load = pin!(loader.load(1));
        runtime.block_on(async {
            timeout(FAST, &mut load).await.unwrap_err();
        });
        drop(runtime);
        load.now_or_never().unwrap().unwrap_err();
    }
}
