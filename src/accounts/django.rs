//! Reads the user table of a Django service from its database, without changes.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt;
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr,
    IsolationLevel, Statement, StreamTrait, TransactionTrait,
};

use super::db::{DatabaseUrl, find_cause};
use crate::problem::Problem;

/// The time limit for a connection or a lock.
const WAIT: Duration = Duration::from_secs(5);

/// The user table of a Django service.
#[derive(Debug)]
pub struct DjangoTable {
    db: DatabaseConnection,
    table: String,
    columns: Vec<String>,
}

/// The requested columns of a row as text. `None` is NULL.
pub type Row = Vec<Option<String>>;

impl DjangoTable {
    /// Opens the table behind `url`.
    ///
    /// # Errors
    /// When the database does not open, or does not have such a table of users.
    pub async fn open(url: &str, table: &str) -> Result<Self, Problem> {
        match DatabaseUrl::parse(url)? {
            DatabaseUrl::File(path) if !path.is_file() => {
                let problem = format!("the file {} does not exist", path.display());
                return Err(
                    Problem::new(problem).hint("use the path of the Django service's database")
                );
            }
            _ => {}
        }
        let mut options = ConnectOptions::new(url);
        options
            .sqlx_logging(false)
            .max_connections(1)
            .acquire_timeout(WAIT)
            .connect_timeout(WAIT)
            .map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .read_only(true)
                    .create_if_missing(false)
                    .busy_timeout(WAIT)
            });
        let db = match Database::connect(options).await {
            Ok(db) => db,
            Err(error) => return Err(find_cause(url, error, WAIT).await.into()),
        };
        if db.get_database_backend() == DbBackend::Postgres {
            let seconds = WAIT.as_secs();
            db.execute_unprepared(&format!("SET lock_timeout = '{seconds}s'"))
                .await?;
        }
        let columns = columns(&db, table).await?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        if columns.is_empty() {
            return Err(wrong_table(format!("there is no table {table}")));
        }
        let lacks = |column| wrong_table(format!("the table {table} has no column {column}"));
        if !has("id") {
            return Err(lacks("id"));
        }
        if !has("password") {
            return Err(lacks("password"));
        }
        if !(has("email") || has("username")) {
            return Err(lacks("email"));
        }
        Ok(Self {
            db,
            table: table.to_owned(),
            columns,
        })
    }

    /// Returns whether the table has this column.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }

    /// Counts the rows.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<u64, Problem> {
        let count = format!(
            "SELECT CAST(COUNT(*) AS TEXT) AS n FROM {}",
            quoted(&self.table)
        );
        let row = self.db.query_one_raw(self.statement(count)).await?;
        let count: Option<String> = row.map(|row| row.try_get("", "n")).transpose()?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Calls `found` with each row of one snapshot, ordered by ID, until `found` returns `false`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows<F: Future<Output = bool>>(
        &self,
        wanted: &[&str],
        mut found: impl FnMut(Row) -> F,
    ) -> Result<(), Problem> {
        // Both databases can convert every type to text.
        let selected: Vec<_> = wanted
            .iter()
            .map(|name| format!("CAST({0} AS TEXT) AS {0}", quoted(name)))
            .collect();
        let query = format!(
            "SELECT {} FROM {table} ORDER BY {table}.id",
            selected.join(", "),
            table = quoted(&self.table)
        );
        let snapshot = self
            .db
            .begin_with_config(
                Some(IsolationLevel::RepeatableRead),
                Some(AccessMode::ReadOnly),
            )
            .await?;
        let mut rows = pin!(snapshot.stream_raw(self.statement(query)).await?);
        while let Some(row) = rows.next().await {
            let row = row?;
            let row: Result<Row, DbErr> = wanted.iter().map(|name| row.try_get("", name)).collect();
            if !found(row?).await {
                break;
            }
        }
        Ok(())
    }

    fn statement(&self, sql: String) -> Statement {
        Statement::from_string(self.db.get_database_backend(), sql)
    }
}

/// Returns the error of a table that is not the table of a user model.
fn wrong_table(message: String) -> Problem {
    Problem::new(message).hint("name the table of the user model with --table")
}

async fn columns(db: &DatabaseConnection, table: &str) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let query = match backend {
        DbBackend::Postgres => {
            "SELECT attname::text AS name FROM pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"
        }
        _ => "SELECT name FROM pragma_table_info($1)",
    };
    let name = match backend {
        DbBackend::Postgres => quoted(table),
        _ => table.to_owned(),
    };
    let query = Statement::from_sql_and_values(backend, query, [name.into()]);
    let rows = db.query_all_raw(query).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// Quotes an identifier, which may follow the name of its schema.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}
