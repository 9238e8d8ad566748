//! The contents of a database: the rows that outlive a process, with their number and digest.

use std::fmt;

use sea_orm::{
    AccessMode, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, IntoActiveModel, IsolationLevel, ModelTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, Statement, TransactionTrait, Value, sea_query::ExprTrait,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{attempts, entity, entity::retired, issuers, signing_keys, store::AccountStore};

/// The number of rows in a query. SQLite accepts 32,766 parameters in a query, and an account has 13.
const BATCH: u64 = 1_000;
/// The year 2000 in Unix nanoseconds.
const YEAR_2000: i128 = 946_684_800_000_000_000;

/// Why the rows of a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A row has a value that this version cannot read, such as a year after 9999.
    #[error("cannot read {row}: {source}")]
    Row {
        /// The table and the primary key of the row.
        row: String,
        /// The cause.
        source: DbErr,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl ReadError {
    /// Returns the error of the database.
    #[must_use]
    pub fn cause(&self) -> &DbErr {
        match self {
            Self::Row { source, .. } | Self::Database(source) => source,
        }
    }
}

/// The contents of a database: the rows of each table, by the name of the table in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents(pub [(&'static str, Rows); 5]);

/// Evaluates an expression for the row of each table, and returns the values.
macro_rules! for_each_table {
    ($row:ident => $value:expr) => {
        for_each_table!(
            $row => $value; entity::Model, retired::Model, attempts::Model, signing_keys::Model, issuers::Model
        )
    };
    ($row:ident => $value:expr; $($model:path),+) => {
        [$({
            type $row = $model;
            $value
        }),+]
    };
}
pub(super) use for_each_table;

impl Contents {
    /// Rejects times of PostgreSQL that this version cannot read, because the driver panics for them.
    pub(super) async fn check_times(snapshot: &DatabaseTransaction) -> Result<(), ReadError> {
        let backend = snapshot.get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(());
        }
        let columns = ["created", "last_login", "password_changed"];
        let conditions = columns.map(|column| {
            format!("{column} NOT BETWEEN '0001-01-01 00:00Z' AND '9999-12-31 23:59:59Z'")
        });
        let query = format!(
            "SELECT CAST(id AS TEXT) AS id FROM users WHERE {} ORDER BY users.id LIMIT 1",
            conditions.join(" OR ")
        );
        let query = Statement::from_string(backend, query);
        match snapshot.query_one_raw(query).await? {
            None => Ok(()),
            Some(row) => Err(ReadError::Row {
                row: format!("account {}", row.try_get::<String>("", "id")?),
                source: DbErr::Type("a time is not between the years 1 and 9999".to_owned()),
            }),
        }
    }

    /// Returns the number of all rows.
    pub(super) fn rows(&self) -> u64 {
        self.0.iter().map(|(_, rows)| rows.count).sum()
    }

    /// Reads the contents of a snapshot.
    pub(super) async fn read(snapshot: &DatabaseTransaction) -> Result<Self, ReadError> {
        Self::check_times(snapshot).await?;
        Ok(Self(for_each_table!(R => read::<R>(snapshot).await?)))
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.0.iter();
        let tables =
            tables.map(|(table, rows)| format!("{table} {} ({})", rows.count, rows.digest()));
        f.write_str(&tables.collect::<Vec<_>>().join(", "))
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
    pub(super) fn add(&mut self, row: &impl Row) {
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

impl AccountStore {
    /// Returns the contents of one snapshot of the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn contents(&self) -> Result<Contents, ReadError> {
        Contents::read(&self.begin_snapshot().await?).await
    }

    /// Begins a transaction whose queries all see the same rows.
    pub(super) async fn begin_snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
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

/// A row of these tables.
pub(super) trait Row:
    ModelTrait + FromQueryResult + IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel>
{
    /// The name of the table in messages.
    const TABLE: &'static str;
    /// The name of a row in messages.
    const NAME: &'static str;
    /// The primary key.
    const KEY: <Self::Entity as EntityTrait>::Column;

    /// Returns the value of the primary key.
    fn key(&self) -> Value {
        self.get(Self::KEY)
    }

    /// Returns a text that is equal for equal rows.
    fn canonical(&self) -> String;
}

impl Row for entity::Model {
    const TABLE: &str = "accounts";
    const NAME: &str = "account";
    const KEY: entity::Column = entity::Column::Id;

    fn canonical(&self) -> String {
        // PostgreSQL stores microseconds since the year 2000, and the driver truncates toward that year.
        let at = |at: OffsetDateTime| {
            (at.unix_timestamp_nanos() - YEAR_2000) / 1_000 + YEAR_2000 / 1_000
        };
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
}

impl Row for retired::Model {
    const TABLE: &str = "retired_ids";
    const NAME: &str = "retired ID";
    const KEY: retired::Column = retired::Column::Id;

    fn canonical(&self) -> String {
        self.id.to_string()
    }
}

impl Row for attempts::Model {
    const TABLE: &str = "attempts";
    const NAME: &str = "counter";
    const KEY: attempts::Column = attempts::Column::Subject;

    fn canonical(&self) -> String {
        format!("{:?}", (&self.subject, self.settled_at, &self.last_guess))
    }
}

impl Row for signing_keys::Model {
    const TABLE: &str = "signing_keys";
    const NAME: &str = "published key";
    const KEY: signing_keys::Column = signing_keys::Column::Kid;

    fn canonical(&self) -> String {
        format!("{self:?}")
    }
}

impl Row for issuers::Model {
    const TABLE: &str = "issuers";
    const NAME: &str = "issuer";
    const KEY: issuers::Column = issuers::Column::Issuer;

    fn canonical(&self) -> String {
        format!("{self:?}")
    }
}

/// Reads a table.
async fn read<R: Row>(snapshot: &DatabaseTransaction) -> Result<(&'static str, Rows), ReadError> {
    let mut rows = Rows::default();
    let mut page = next_page::<R>(snapshot, None).await?;
    while let Some(last) = page.last() {
        let after = last.key();
        for row in &page {
            rows.add(row);
        }
        page = next_page::<R>(snapshot, Some(after)).await?;
    }
    Ok((R::TABLE, rows))
}

/// Returns the rows after a key.
pub(super) async fn next_page<R: Row>(
    snapshot: &DatabaseTransaction,
    after: Option<Value>,
) -> Result<Vec<R>, ReadError> {
    let mut page = R::Entity::find().order_by_asc(R::KEY).limit(BATCH);
    if let Some(after) = after {
        page = page.filter(R::KEY.gt(after));
    }
    match page.clone().into_model::<R>().all(snapshot).await {
        Ok(rows) => Ok(rows),
        Err(source) => Err(name_row::<R>(snapshot, page, source).await),
    }
}

/// Names the first row of a page that cannot be read.
async fn name_row<R: Row>(
    snapshot: &DatabaseTransaction,
    page: Select<R::Entity>,
    source: DbErr,
) -> ReadError {
    for offset in 0..BATCH {
        let row = page.clone().limit(1).offset(offset);
        let Err(source) = row.clone().into_model::<R>().one(snapshot).await else {
            continue;
        };
        let key = row
            .select_only()
            .column_as(R::KEY.into_expr().cast_as("TEXT"), "key");
        if let Ok(Some(key)) = key.into_tuple::<String>().one(snapshot).await {
            let row = format!("{} {key}", R::NAME);
            return ReadError::Row { row, source };
        }
    }
    source.into()
}
