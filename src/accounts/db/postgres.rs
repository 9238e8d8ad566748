//! Connections to PostgreSQL: how they are opened, tested and replaced.
//!
//! A firewall may forget an idle connection without a reset. It then drops the packets, and a query runs into its timeout. So the test
//! of an idle connection has a shorter timeout, and after one such timeout every idle connection is replaced. PostgreSQL sends
//! keepalive probes so that firewalls remember the connections (sqlx 0.9 cannot enable the probes of the client).

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqlxPostgresConnector,
    Statement,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions as _, Connection as _,
        postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode},
    },
};
use tokio::time::timeout;
use tracing::warn;

use super::{
    error::{is_pool_timeout, unopened},
    limits::Limits,
    url::{DatabaseUrl, several_hosts},
};
use crate::problem::Problem;

/// A connection that was idle for this time is tested before use, because the database may have been restarted.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(1);
/// Sends the first probe after a minute. Firewalls forget a connection after several minutes.
const KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
/// A standby may not have the newest revocations. A server closes all connections before it becomes a standby, so the test of new
/// connections is enough.
const REJECT_STANDBY: &str = "DO $$ BEGIN IF pg_is_in_recovery() THEN RAISE 'the server is a standby' USING ERRCODE = '25006'; \
     END IF; END $$";
/// The encoding that stores every email.
const ENCODING: &str = "UTF8";

/// Returns the time limit of a ping, given the time limit of a query. The remaining time suffices to open another connection.
pub(in crate::accounts) fn ping_timeout(wait: Duration) -> Duration {
    wait / 5
}

/// Returns the time limit to acquire a connection. The remaining time suffices to find the cause of a failure.
fn acquire_timeout(wait: Duration) -> Duration {
    wait * 3 / 4
}

pub(super) async fn open(
    url: &str,
    limits: Limits,
    what: String,
    read_only: bool,
) -> Result<DatabaseConnection, Problem> {
    let failed = |error| unopened(&what, &error);
    let wait = limits.wait;
    let options = options(url).map_err(failed)?;
    // `PGHOST` may contain several hosts, too.
    if options.get_host().contains(',') {
        return Err(several_hosts());
    }
    let connector = Arc::new(Connector::new(options.clone(), limits, read_only));
    let [to_connect, to_acquire, to_release] = [(); 3].map(|()| Arc::clone(&connector));
    let pool = PgPoolOptions::new()
        .max_connections(limits.connections.get())
        .acquire_timeout(acquire_timeout(wait))
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let connector = Arc::clone(&to_connect);
            Box::pin(async move { connector.prepare(connection).await })
        })
        .before_acquire(move |connection, metadata| {
            let connector = Arc::clone(&to_acquire);
            Box::pin(async move { Ok(connector.is_usable(connection, metadata.idle_for).await) })
        })
        .after_release(move |connection, _| {
            let connector = Arc::clone(&to_release);
            Box::pin(async move { Ok(connector.is_reusable(connection).await) })
        });
    let pool = match pool.connect_with(options.clone()).await {
        Ok(pool) => pool,
        Err(error) => {
            return Err(failed(
                find_cause_with(&options, connection_error(error), wait / 4).await,
            ));
        }
    };
    let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    let checked = match timeout(wait, check_encoding(&db)).await {
        Ok(checked) => checked.map_err(failed).and_then(|checked| checked),
        Err(_) => Err(failed(no_answer(wait))),
    };
    if let Err(error) = checked {
        // The first error is returned.
        let _ = db.close().await;
        return Err(error);
    }
    Ok(db)
}

fn options(url: &str) -> Result<PgConnectOptions, DbErr> {
    let options: PgConnectOptions = url.parse().map_err(connection_error)?;
    Ok(options
        .application_name("signet")
        .disable_statement_logging())
}

/// Returns the host of a PostgreSQL server on another machine if the connection may have no TLS. In the default mode, `prefer`, anyone on
/// the network path can prevent TLS.
#[must_use]
pub fn host_without_tls(url: &str) -> Option<String> {
    let Ok(DatabaseUrl::Postgres(_)) = DatabaseUrl::parse(url) else {
        return None;
    };
    let options = options(url).ok()?;
    let host = options.get_host().trim_matches(['[', ']']);
    let is_local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    let may_lack_tls = matches!(
        options.get_ssl_mode(),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
    );
    (may_lack_tls && !is_local).then(|| host.to_owned())
}

fn connection_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

/// Returns the error of a query that exceeded its time limit.
pub(super) fn no_answer(wait: Duration) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("no answer in {wait:?}")))
}

/// Returns the cause of an error of the pool. If PostgreSQL refuses a connection, the pool retries and then reports only a timeout.
pub(super) async fn find_cause_with(
    options: &PgConnectOptions,
    error: DbErr,
    wait: Duration,
) -> DbErr {
    if !is_pool_timeout(&error) {
        return error;
    }
    match timeout(wait, options.connect()).await {
        Ok(Ok(mut connection)) => {
            let checked = timeout(wait, sqlx::raw_sql(REJECT_STANDBY).execute(&mut connection));
            if let Ok(Err(cause)) = checked.await {
                return connection_error(cause);
            }
            // An orderly close avoids a line in the log of PostgreSQL.
            let _ = timeout(wait, connection.close()).await;
            error
        }
        Ok(Err(cause)) => connection_error(cause),
        Err(_) => no_answer(acquire_timeout(wait) + wait),
    }
}

/// Returns the cause of an error of the pool of this URL.
pub(in crate::accounts) async fn find_cause(url: &str, error: DbErr, wait: Duration) -> DbErr {
    match options(url) {
        Ok(options) => find_cause_with(&options, error, wait).await,
        Err(_) => error,
    }
}

/// Rejects a database that does not use UTF-8, because it cannot store every email: a login of `you@почта.рф` would fail.
async fn check_encoding(db: &DatabaseConnection) -> Result<Result<(), Problem>, DbErr> {
    let query = "SELECT current_setting('server_encoding') AS encoding, CAST(current_database() AS TEXT) AS name, \
                 CAST(current_user AS TEXT) AS owner";
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, query))
        .await?;
    let Some(row) = row else { return Ok(Ok(())) };
    let encoding: String = row.try_get("", "encoding")?;
    if encoding == ENCODING {
        return Ok(Ok(()));
    }
    let (name, owner): (String, String) = (row.try_get("", "name")?, row.try_get("", "owner")?);
    let new = format!("{name}_utf8");
    let problem = Problem::new(format!(
        "the database {name} has the encoding {encoding}, and emails need UTF-8"
    ));
    // The locale C fits every encoding; the locale of the server may not.
    Ok(Err(problem.hint(format!(
        "run `createdb --template=template0 --encoding={ENCODING} --locale=C --owner={} {}`, and use the new database in the URL",
        shell_word(&owner),
        shell_word(&new)
    ))))
}

fn shell_word(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

/// Opens, tests and replaces the connections of a pool.
struct Connector {
    options: PgConnectOptions,
    settings: String,
    ping_timeout: Duration,
    last_timeout: Mutex<Option<Instant>>,
}

impl Connector {
    fn new(options: PgConnectOptions, limits: Limits, read_only: bool) -> Self {
        let wait = limits.wait.as_millis();
        let statement = if limits.enforce_statement_timeout {
            wait
        } else {
            0
        };
        // A command that only reads may use a standby.
        let standby = if read_only { "" } else { REJECT_STANDBY };
        // The server limits the wait for a locked row.
        let settings = format!(
            "SET lock_timeout = {wait}; SET statement_timeout = {statement}; SET client_min_messages = warning; \
             SET default_transaction_read_only = {read_only}; {standby}"
        );
        Self {
            options,
            settings,
            ping_timeout: ping_timeout(limits.wait),
            last_timeout: Mutex::default(),
        }
    }

    async fn prepare(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let settings = sqlx::raw_sql(AssertSqlSafe(self.settings.clone()));
        settings.execute(&mut *connection).await?;
        match sqlx::raw_sql(KEEPALIVE).execute(connection).await {
            // Engines that imitate PostgreSQL may not have these settings.
            Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns whether an idle connection can be used. Replaces a connection that does not answer.
    async fn is_usable(&self, connection: &mut PgConnection, idle_for: Duration) -> bool {
        if self.was_idle_at_timeout(idle_for) {
            return self.replace(connection).await;
        }
        if idle_for < TEST_IF_IDLE_FOR {
            return true;
        }
        if let Ok(answered) = timeout(self.ping_timeout, connection.ping()).await {
            return answered.is_ok();
        }
        self.note_timeout();
        self.replace(connection).await
    }

    /// Returns whether the pool can reuse a connection. The pool pings without a time limit, and would have one connection less until
    /// the ping is answered.
    async fn is_reusable(&self, connection: &mut PgConnection) -> bool {
        if let Ok(answered) = timeout(self.ping_timeout, connection.ping()).await {
            return answered.is_ok();
        }
        self.note_timeout();
        let replaced = timeout(self.ping_timeout, self.replace(connection));
        replaced.await.unwrap_or(false)
    }

    /// Replaces a connection. Drops the old connection, because over TLS sqlx waits for an answer before it closes a connection.
    async fn replace(&self, connection: &mut PgConnection) -> bool {
        let fresh = async {
            let mut fresh = self.options.connect().await?;
            self.prepare(&mut fresh).await?;
            Ok::<_, sqlx::Error>(fresh)
        };
        match fresh.await {
            Ok(fresh) => {
                *connection = fresh;
                true
            }
            Err(_) => false,
        }
    }

    fn was_idle_at_timeout(&self, idle_for: Duration) -> bool {
        let last = *self.last_timeout.lock();
        last.is_some_and(|last| last.elapsed() < idle_for)
    }

    fn note_timeout(&self) {
        let mut last = self.last_timeout.lock();
        let is_first = last.is_none_or(|last| last.elapsed() > TEST_IF_IDLE_FOR);
        *last = Some(Instant::now());
        drop(last);
        if is_first {
            warn!(
                after = ?self.ping_timeout,
                "connection to PostgreSQL timed out; testing all idle connections"
            );
        }
    }
}
