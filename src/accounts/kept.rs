//! A connection that is kept for several queries in a row.
//!
//! The pool asks each connection that it gets back whether it still answers: another trip to the thread of SQLite, or to PostgreSQL,
//! after each query. Of those that follow each other without pause, only the last needs to be asked: half a microsecond of a refresh,
//! and two of one on PostgreSQL.

use std::time::Duration;

use futures_util::TryFutureExt;
use sea_orm::{
    DatabaseConnection, DbBackend, DbErr, QueryResult, RuntimeErr,
    sea_query::SelectStatement,
    sqlx::{
        self, AssertSqlSafe, Database, Executor, IntoArguments, Postgres, Sqlite,
        pool::PoolConnection,
    },
};
use tokio::time::Instant;

/// The connection, and what it may still be asked.
#[derive(Debug)]
pub(super) struct Kept {
    connection: Connection,
    queries: u8,
    since: Instant,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Others wait for connections, too, and one that is not asked itself may be that of a server that was replaced.
const QUERIES: u8 = 32;

impl Kept {
    async fn of(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let connection = match db.get_database_backend() {
            DbBackend::Sqlite => {
                db.get_sqlite_connection_pool()
                    .acquire()
                    .map_ok(Connection::Sqlite)
                    .await
            }
            _ => {
                db.get_postgres_connection_pool()
                    .acquire()
                    .map_ok(Connection::Postgres)
                    .await
            }
        };
        let lost = |error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
        Ok(Self {
            connection: connection.map_err(lost)?,
            queries: QUERIES,
            since: Instant::now(),
        })
    }

    /// Time since the connection was acquired.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The rows of `query`, of which the parameters are `ids`, over `kept` or else over another connection; and the one that it
    /// was, unless it was kept for long enough.
    ///
    /// # Errors
    /// When the database does not answer. That one which was kept fails is none, whatever the cause: most likely it is dead, as after
    /// a restart of PostgreSQL. The pool has, or opens, another one, and whoever waits is not to notice.
    pub(super) async fn rows(
        kept: Option<Self>,
        db: &DatabaseConnection,
        query: &SelectStatement,
        ids: &[i64],
    ) -> Result<(Vec<QueryResult>, Option<Self>), DbErr> {
        if let Some(kept) = kept
            && let Ok(answered) = kept.ask(query, ids).await
        {
            return Ok(answered);
        }
        Self::of(db).await?.ask(query, ids).await
    }

    async fn ask(
        mut self,
        query: &SelectStatement,
        ids: &[i64],
    ) -> Result<(Vec<QueryResult>, Option<Self>), DbErr> {
        let rows = match &mut self.connection {
            Connection::Sqlite(connection) => {
                rows(&mut **connection, DbBackend::Sqlite.build(query).sql, ids).await
            }
            Connection::Postgres(connection) => {
                rows(&mut **connection, DbBackend::Postgres.build(query).sql, ids).await
            }
        };
        let rows = rows.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
        self.queries -= 1;
        Ok((rows, (self.queries > 0).then_some(self)))
    }
}

async fn rows<'c, D, E>(
    connection: E,
    sql: String,
    ids: &[i64],
) -> Result<Vec<QueryResult>, sqlx::Error>
where
    D: Database,
    D::Arguments: IntoArguments<D>,
    E: Executor<'c, Database = D>,
    i64: for<'q> sqlx::Encode<'q, D> + sqlx::Type<D>,
    QueryResult: From<D::Row>,
{
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = ids.iter().fold(query, |query, id| query.bind(*id));
    let rows = query.fetch_all(connection).await?;
    Ok(rows.into_iter().map(QueryResult::from).collect())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use sea_orm::{
        ConnectionTrait,
        sea_query::{Alias, Expr, Query},
    };

    use super::*;
    use crate::accounts::{Limits, Pool, open};

    const LIMITS: Limits = Limits {
        connections: NonZeroU32::MIN.saturating_add(1),
        wait: Duration::from_secs(1),
        hurried: false,
    };

    #[tokio::test]
    async fn a_connection_is_kept_for_some_queries_and_then_given_back() {
        let db = open("sqlite::memory:", LIMITS).await.unwrap();
        let query = Query::select().expr(Expr::value(7)).to_owned();
        let mut kept = None;
        for _ in 1..QUERIES {
            let (rows, again) = Kept::rows(kept, &db, &query, &[7]).await.unwrap();
            assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), 7);
            assert!(again.is_some());
            kept = again;
            assert_eq!(Pool::of(&db).used, 1);
        }
        let (_, given_back) = Kept::rows(kept, &db, &query, &[7]).await.unwrap();
        assert!(given_back.is_none());
        // Whoever waits for it has it: in memory there is no other.
        Kept::of(&db).await.unwrap();
    }

    #[tokio::test]
    async fn of_a_connection_that_died_while_it_was_kept_nobody_hears() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/signet.db", folder.path().display());
        let db = open(&url, LIMITS).await.unwrap();
        db.execute_unprepared("CREATE TABLE letters (id INTEGER); INSERT INTO letters VALUES (7)")
            .await
            .unwrap();
        let letters = Alias::new("letters");
        let query = Query::select()
            .column((letters.clone(), Alias::new("id")))
            .from(letters)
            .to_owned();
        let (_, mut kept) = Kept::rows(None, &db, &query, &[]).await.unwrap();

        // As good as dead: on this one, and only on it, the query fails.
        let Some(Connection::Sqlite(connection)) = kept.as_mut().map(|it| &mut it.connection)
        else {
            panic!("it was not kept");
        };
        sqlx::query("CREATE TEMP TABLE letters (name TEXT)")
            .execute(&mut **connection)
            .await
            .unwrap();
        connection.close_on_drop();
        let (rows, kept) = Kept::rows(kept, &db, &query, &[]).await.unwrap();
        assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), 7);
        assert!(kept.is_some());
    }
}
