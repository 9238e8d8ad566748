//! Transactions that exclude each other, also between replicas.
//!
//! SQLite has one writer at a time. On PostgreSQL a transaction acquires an advisory lock, which PostgreSQL releases at the end of the
//! transaction or of the process. Nothing depends on settings of the session, so that a pooler may assign transactions to connections.

use std::time::Duration;

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

/// An advisory lock of PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub enum Lock {
    /// Applies or reverts a migration.
    Migrations,
    /// Changes accounts by a command or an import.
    Accounts,
}

impl Lock {
    /// Returns the key of the lock: "signet" in ASCII, and a number.
    const fn key(self) -> i64 {
        match self {
            Self::Migrations => 0x7369_676e_6574_0001,
            Self::Accounts => 0x7369_676e_6574_0002,
        }
    }
}

/// Begins a transaction that waits for the previous transaction with the same lock. The transaction may last for any time.
///
/// On PostgreSQL, `timeout` limits every wait for a lock in this transaction. On SQLite, the busy timeout of the connection limits the
/// wait.
///
/// # Errors
/// When the database does not answer, or another transaction holds the lock for too long.
pub async fn begin_locked(
    db: &DatabaseConnection,
    lock: Lock,
    timeout: Duration,
) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        // A deferred transaction would fail at its first write if another writer is active.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    if db.get_database_backend() != DbBackend::Sqlite {
        // Zero would be no limit.
        let timeout = timeout.as_millis().max(1);
        let acquire = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {timeout}; \
             SELECT pg_advisory_xact_lock({})",
            lock.key()
        );
        transaction.execute_unprepared(&acquire).await?;
    }
    Ok(transaction)
}

/// Returns whether an operation failed because of another transaction, so that a retry may succeed.
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
    // SQLITE_BUSY and SQLITE_LOCKED with their extended codes; lock_not_available, serialization_failure and deadlock_detected.
    code.is_some_and(|code| {
        [
            "5", "6", "261", "262", "517", "773", "55P03", "40001", "40P01",
        ]
        .contains(&code.as_ref())
    })
}
