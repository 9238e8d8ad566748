//! A connection that is kept for several queries in a row.
//!
//! The pool asks each connection that it gets back whether it still answers: another trip to the thread of SQLite, or to PostgreSQL,
//! after each query. Of those that follow each other without pause, only the last needs to be asked.

use futures_util::TryFutureExt;
use sea_orm::{
    DatabaseConnection, DbBackend, DbErr, QueryResult, RuntimeErr,
    sea_query::SelectStatement,
    sqlx::{
        self, AssertSqlSafe, Database, Executor, IntoArguments, Postgres, Sqlite,
        pool::PoolConnection,
    },
};

/// The connection, and what it may still be asked.
#[derive(Debug)]
pub(super) struct Kept {
    connection: Connection,
    queries: u8,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Others wait for connections, too, and one that is not asked itself may be that of a server that was replaced.
const QUERIES: u8 = 32;

impl Kept {
    pub(super) async fn of(db: &DatabaseConnection) -> Result<Self, DbErr> {
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
        })
    }

    /// The rows of `query`, of which the parameters are `ids`; and the connection, unless it was kept for long enough.
    pub(super) async fn rows(
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
    use std::time::Duration;

    use sea_orm::sea_query::{Expr, Query};

    use super::*;
    use crate::users::{Limits, Pool, open};

    #[tokio::test]
    async fn a_connection_is_kept_for_some_queries_and_then_given_back() {
        let limits = Limits {
            connections: 1.try_into().unwrap(),
            wait: Duration::from_secs(1),
            hurried: false,
        };
        let db = open("sqlite::memory:", limits).await.unwrap();
        let query = Query::select().expr(Expr::value(7)).to_owned();
        let mut kept = Kept::of(&db).await.unwrap();
        for _ in 1..QUERIES {
            let (rows, again) = kept.rows(&query, &[7]).await.unwrap();
            assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), 7);
            kept = again.unwrap();
            assert_eq!(Pool::of(&db).used, 1);
        }
        assert!(kept.rows(&query, &[7]).await.unwrap().1.is_none());
        // Whoever waits for it has it: there is no other.
        Kept::of(&db).await.unwrap();
    }
}
