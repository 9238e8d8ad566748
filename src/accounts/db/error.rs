//! Classifies database errors: whether to retry, and how an operator can fix the cause.

use migration::{MAINTENANCE, is_contention};
use sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr,
    sqlx::{self, postgres::PgDatabaseError},
};

use crate::problem::Problem;

/// The code of a database error.
enum Code<'a> {
    /// The primary result code (<https://www.sqlite.org/rescode.html>).
    Sqlite(i32),
    /// The SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    Postgres(&'a str),
}

const READ_ONLY: i32 = 8;
const IO: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

/// Returns whether a retry may succeed soon. Temporary errors are connection errors, locks of other writers, and missing disk space or
/// permissions, which an operator can fix.
#[must_use]
pub fn is_temporary(error: &DbErr) -> bool {
    if is_connection_error(error) || is_contention(error) || is_maintenance(error) {
        return true;
    }
    match code(error) {
        Some(Code::Sqlite(code)) => {
            matches!(code, READ_ONLY | IO | FULL | CANNOT_OPEN)
        }
        // The classes are connection errors, rollbacks, insufficient resources, operator intervention and system errors. 25006 is the
        // error of a standby server.
        Some(Code::Postgres(state)) => {
            matches!(state.get(..2), Some("08" | "40" | "53" | "57" | "58")) || state == "25006"
        }
        None => false,
    }
}

/// Returns how an operator can fix the cause of an error, if the cause is known.
#[must_use]
pub fn operator_hint(error: &DbErr) -> Option<&'static str> {
    Some(match code(error) {
        _ if is_maintenance(error) => {
            "wait for the end of the maintenance, or end it with `signet database maintenance off`"
        }
        Some(Code::Sqlite(FULL | IO) | Code::Postgres("53100")) => {
            "check for free disk space, and try again; nothing was lost"
        }
        Some(Code::Sqlite(READ_ONLY)) => {
            "make the file and its folder writable: SQLite creates files next to the database, even to read it"
        }
        Some(Code::Sqlite(CANNOT_OPEN)) => {
            "use the path of a file, not of a folder, and make the file and its folder writable"
        }
        Some(Code::Sqlite(CORRUPT)) => {
            "the database is damaged: stop the service, and restore a backup"
        }
        Some(Code::Sqlite(NOT_A_DATABASE)) => {
            "the file is not a database of SQLite: use the path of another file"
        }
        _ if is_contention(error) => "another process has locked the database; try again later",
        Some(Code::Postgres("53300")) => {
            "lower SIGNET_DATABASE_CONNECTIONS, or raise max_connections of PostgreSQL: all processes share this limit"
        }
        Some(Code::Postgres("25006")) => "the server is a standby; use the address of the primary",
        Some(Code::Postgres("42P05" | "26000")) => {
            "use a connection pooler in session mode, or PgBouncer 1.21 or newer with max_prepared_statements"
        }
        Some(Code::Postgres("42501")) => {
            "run this as the owner of the tables, or grant the privileges of the section Roles in docs/guides/postgresql.md"
        }
        _ if is_invalid_option(error) => "correct the options after the `?` of the URL",
        _ if is_connection_error(error) => {
            "check that the database server is running, and that this user may connect"
        }
        _ => return None,
    })
}

impl From<DbErr> for Problem {
    fn from(error: DbErr) -> Self {
        Self::new(error.to_string()).hint_option(operator_hint(&error))
    }
}

/// Returns whether a trigger rejected a change because of the maintenance mode.
fn is_maintenance(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let error = error.as_database_error();
    error.is_some_and(|error| error.message() == MAINTENANCE)
}

/// Returns whether the file of SQLite is damaged.
pub(in crate::accounts) fn is_corrupt(error: &DbErr) -> bool {
    matches!(code(error), Some(Code::Sqlite(CORRUPT)))
}

/// Returns whether the pool had no free connection and could not open one in time.
pub(super) fn is_pool_timeout(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error)) => matches!(**error, sqlx::Error::PoolTimedOut),
        _ => false,
    }
}

/// Returns whether the connection failed.
fn is_connection_error(error: &DbErr) -> bool {
    use sqlx::Error;
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(
                **error,
                Error::Io(_)
                    | Error::Tls(_)
                    | Error::Protocol(_)
                    | Error::PoolTimedOut
                    | Error::PoolClosed
                    | Error::WorkerCrashed
            )
        }
        _ => false,
    }
}

/// Returns whether the URL has an invalid option.
fn is_invalid_option(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else {
        return false;
    };
    matches!(**error, sqlx::Error::Configuration(_))
}

fn code(error: &DbErr) -> Option<Code<'_>> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    let error = error.as_database_error()?;
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return Some(Code::Postgres(error.code()));
    }
    let extended: i32 = error.code()?.parse().ok()?;
    Some(Code::Sqlite(extended & 0xff))
}

/// Returns the error of a database that did not open.
pub(super) fn unopened(what: &str, error: &DbErr) -> Problem {
    Problem::new(format!("cannot open {what}: {error}")).hint_option(operator_hint(error))
}
