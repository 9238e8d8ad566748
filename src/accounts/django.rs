//! Reads the user table of a Django service from its own database, without changing anything there.

use std::{path::PathBuf, pin::pin, time::Duration};

use futures_util::StreamExt;
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr,
    IsolationLevel, Statement, StreamTrait, TransactionTrait,
};

use super::{Location, OpenError, store::explained_for};

/// How long the Django service's own writers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A user table.
#[derive(Debug)]
pub struct DjangoTable {
    db: DatabaseConnection,
    table: String,
    columns: Vec<String>,
}

/// A row: each column that was asked for as text, and none where it is NULL or missing.
pub type Row = Vec<Option<String>>;

/// Why a user table was not read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The URL points nowhere.
    #[error(transparent)]
    Url(#[from] OpenError),
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    /// There is no such table.
    #[error("it has no table {0}: name the one of the user model with --table")]
    NoTable(String),
    /// The table is not that of a user model.
    #[error(
        "the table {table} has no column {column}: name the one of the user model with --table"
    )]
    NoColumn {
        /// The table.
        table: String,
        /// What it lacks.
        column: &'static str,
    },
    /// The database did not answer.
    #[error("{0}{advice}", advice = super::store::advice(.0))]
    Database(#[from] DbErr),
}

impl DjangoTable {
    /// Opens the table behind `url`.
    ///
    /// # Errors
    /// When the database does not open, or has no such table of users.
    pub async fn open(url: &str, table: &str) -> Result<Self, TableError> {
        match Location::of(url)? {
            Location::File(path) if !path.is_file() => return Err(TableError::NoFile(path)),
            _ => {}
        }
        let mut options = ConnectOptions::new(url);
        options
            .sqlx_logging(false)
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .read_only(true)
                    .create_if_missing(false)
                    .busy_timeout(PATIENCE)
            });
        let db = match Database::connect(options).await {
            Ok(db) => db,
            Err(error) => return Err(explained_for(url, error, PATIENCE).await.into()),
        };
        if db.get_database_backend() == DbBackend::Postgres {
            let seconds = PATIENCE.as_secs();
            db.execute_unprepared(&format!("SET lock_timeout = '{seconds}s'"))
                .await?;
        }
        let columns = columns(&db, table).await?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        if columns.is_empty() {
            return Err(TableError::NoTable(table.to_owned()));
        }
        let lacks = |column| TableError::NoColumn {
            table: table.to_owned(),
            column,
        };
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

    /// Whether it has such a column.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<u64, TableError> {
        let count = format!(
            "SELECT CAST(COUNT(*) AS TEXT) AS n FROM {}",
            quoted(&self.table)
        );
        let row = self.db.query_one_raw(self.statement(count)).await?;
        let count: Option<String> = row.map(|row| row.try_get("", "n")).transpose()?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Hands the rows to `found` by id, all of one moment, until it has enough.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows<F: Future<Output = bool>>(
        &self,
        wanted: &[&str],
        mut found: impl FnMut(Row) -> F,
    ) -> Result<(), TableError> {
        // Text is what both stores can make of every type.
        let selected: Vec<_> = wanted
            .iter()
            .map(|name| {
                if self.has(name) {
                    format!("CAST({0} AS TEXT) AS {0}", quoted(name))
                } else {
                    format!("NULL AS {}", quoted(name))
                }
            })
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

/// An identifier, perhaps after its schema.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}
