//! Locks that replicas share: rows of one table, since advisory locks are stubs in some of the engines
//! that speak the protocol of PostgreSQL. SQLite needs none: whoever writes to it is alone.

use std::time::Duration;

use sea_orm_migration::{
    prelude::*,
    schema::{text, timestamp_with_time_zone},
    sea_orm::{
        ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
        Statement, TransactionOptions, TransactionTrait,
    },
};

/// An owner that was killed between two steps is waited for this long; in a step, its transaction tells.
const EXPIRY: Duration = Duration::from_secs(10);

/// A lock that outlives transactions, by an owner that renews it in each.
pub(crate) struct Lock<'a> {
    name: &'static str,
    owner: &'a str,
}

impl<'a> Lock<'a> {
    /// Takes the lock, unless somebody else has it.
    pub(crate) async fn take(
        db: &DatabaseConnection,
        name: &'static str,
        owner: &'a str,
    ) -> Result<Option<Self>, DbErr> {
        make_table(db).await?;
        // By the clock of the database: those of the replicas may differ. After it was set back, nobody can
        // have a lock that expires later than one taken now.
        let took = db.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "INSERT INTO locks (name, owner, expires_at) \
             VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second') \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at \
             WHERE locks.expires_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + $3 * interval '1 second'",
            [name.into(), owner.into(), EXPIRY.as_secs_f64().into()],
        ));
        let took = took.await?.rows_affected() > 0;
        Ok(took.then_some(Self { name, owner }))
    }

    /// Whether it is still ours. To the end of the transaction it stays so, since nobody else can write its row.
    pub(crate) async fn renew(&self, transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        let renewed = transaction.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "UPDATE locks SET expires_at = clock_timestamp() + $3 * interval '1 second' \
             WHERE name = $1 AND owner = $2",
            [
                self.name.into(),
                self.owner.into(),
                EXPIRY.as_secs_f64().into(),
            ],
        ));
        Ok(renewed.await?.rows_affected() > 0)
    }

    /// Gives it back. One that is not given back expires.
    pub(crate) async fn release(self, db: &DatabaseConnection) -> Result<(), DbErr> {
        let release = db.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "DELETE FROM locks WHERE name = $1 AND owner = $2",
            [self.name.into(), self.owner.into()],
        ));
        release.await.map(|_| ())
    }
}

/// Begins a transaction that may take its time. On SQLite it waits for other writers now, and not in its
/// middle, where that would fail.
///
/// # Errors
/// When the database does not answer, or another writes to it for too long.
pub async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    if db.get_database_backend() != DbBackend::Sqlite {
        // Whatever is usual on its connection.
        transaction
            .execute_unprepared("SET LOCAL statement_timeout = 0")
            .await?;
    }
    Ok(transaction)
}

/// Waits for whoever holds the lock of this name, and holds it to the end of the transaction.
///
/// # Errors
/// When the database does not answer, or another holds it for too long.
pub async fn hold(transaction: &DatabaseTransaction, name: &str) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    let hold = transaction.execute_raw(Statement::from_sql_and_values(
        DbBackend::Postgres,
        "INSERT INTO locks (name, owner, expires_at) VALUES ($1, '', clock_timestamp()) \
         ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
        [name.into()],
    ));
    hold.await.map(|_| ())
}

/// Not a migration: it is there before the first one.
async fn make_table(db: &DatabaseConnection) -> Result<(), DbErr> {
    let manager = SchemaManager::new(db);
    if manager.has_table("locks").await? {
        return Ok(());
    }
    let table = Table::create()
        .table("locks")
        .if_not_exists()
        .col(text("name").primary_key())
        .col(text("owner"))
        .col(timestamp_with_time_zone("expires_at"))
        .to_owned();
    match manager.create_table(table).await {
        // Of two that make it at once, PostgreSQL refuses one.
        Err(_) if manager.has_table("locks").await? => Ok(()),
        made => made,
    }
}

/// Whether the same may well succeed in a moment: somebody else was at it.
#[must_use]
pub fn is_contention(error: &DbErr) -> bool {
    use sea_orm_migration::sea_orm::{RuntimeErr::SqlxError, sqlx::error::DatabaseError};
    let (DbErr::Conn(SqlxError(error))
    | DbErr::Exec(SqlxError(error))
    | DbErr::Query(SqlxError(error))) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(DatabaseError::code);
    // SQLITE_BUSY and SQLITE_LOCKED with their kin; lock_not_available, serialization_failure and deadlock_detected.
    code.is_some_and(|code| {
        [
            "5", "6", "261", "262", "517", "773", "55P03", "40001", "40P01",
        ]
        .contains(&code.as_ref())
    })
}
