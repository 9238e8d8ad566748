//! Test databases. Each test creates a new database, which is deleted after the test. It is a SQLite file, or a database on the PostgreSQL
//! server of the URL in `SIGNET_TEST_POSTGRES`. `tests/postgres.py` starts such a server.

use std::{
    future::Future,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use sea_orm::ConnectionTrait;
use signet::accounts::{self, Database, Limits};
use tempfile::TempDir;

/// The limits of database connections that tests open.
pub(crate) const LIMITS: Limits = Limits {
    connections: NonZeroU32::new(8).unwrap(),
    wait: Duration::from_secs(5),
    enforce_statement_timeout: false,
};

/// A database that is deleted when this value is dropped.
pub(crate) enum Store {
    Sqlite(TempDir),
    Postgres { server: String, name: String },
}

impl Store {
    /// Creates a database without tables.
    pub(crate) fn new() -> Self {
        Self::made(|server, name| async move {
            let create = format!("CREATE DATABASE {name}");
            server.execute_unprepared(&create).await.unwrap();
        })
    }

    /// Creates a database with this encoding. Returns `None` if the tests run on SQLite.
    pub(crate) fn encoded(encoding: &'static str) -> Option<Self> {
        Self::is_postgres().then(|| {
            Self::made(move |server, name| async move {
                let create = format!(
                    "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
                );
                server.execute_unprepared(&create).await.unwrap();
            })
        })
    }

    /// Creates a database with all tables.
    pub(crate) async fn migrated() -> Self {
        let url = postgres();
        let store = Self::made(|server, name| async move {
            make_template(&server, &url.unwrap()).await;
            let copy = format!("CREATE DATABASE {name} TEMPLATE signet_template");
            server.execute_unprepared(&copy).await.unwrap();
        });
        if let Self::Sqlite(_) = store {
            let db = accounts::open(&store.url(), LIMITS).await.unwrap();
            migrate(&db).await;
            db.close().await.unwrap();
        }
        store
    }

    pub(crate) fn is_postgres() -> bool {
        postgres().is_some()
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("signet.db").display()),
            Self::Postgres { server, name } => at(server, name),
        }
    }

    fn made<T: Future<Output = ()>>(
        make: impl FnOnce(Database, String) -> T + Send + 'static,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(server) = postgres() else {
            return Self::Sqlite(tempfile::tempdir().unwrap());
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let given = name.clone();
        on(&server, |server| make(server, given));
        Self::Postgres { server, name }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Self::Postgres { server, name } = self {
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            on(server, |server| async move {
                server.execute_unprepared(&drop).await.unwrap();
            });
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this variable is for the tests, and is no setting of the service"
)]
fn postgres() -> Option<String> {
    std::env::var("SIGNET_TEST_POSTGRES").ok()
}

async fn migrate(db: &Database) {
    let patience = Duration::from_mins(1);
    migration::apply(db, patience).await.unwrap();
}

fn at(server: &str, name: &str) -> String {
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Runs `act` on the server. The thread has a separate runtime, so that async tests and other tests can call this function.
fn on<T: Future<Output = ()>>(url: &str, act: impl FnOnce(Database) -> T + Send + 'static) {
    let url = url.to_owned();
    let acting = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = sea_orm::Database::connect(url).await.unwrap();
            act(server.clone()).await;
            server.close().await.unwrap();
        });
    });
    acting.join().unwrap();
}

/// Creates a template with all tables, unless the template exists. To copy the template is ten times as fast as to migrate.
async fn make_template(server: &Database, url: &str) {
    // A single connection, because the advisory lock belongs to the connection.
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1);
    let locked = sea_orm::Database::connect(options).await.unwrap();
    locked
        .execute_unprepared("SELECT pg_advisory_lock(1)")
        .await
        .unwrap();
    let there = sea_orm::Statement::from_string(
        server.get_database_backend(),
        "SELECT 1 FROM pg_database WHERE datname = 'signet_template'",
    );
    if server.query_one_raw(there).await.unwrap().is_none() {
        for statement in [
            "DROP DATABASE IF EXISTS signet_draft",
            "CREATE DATABASE signet_draft",
        ] {
            server.execute_unprepared(statement).await.unwrap();
        }
        let draft = accounts::open(&at(url, "signet_draft"), LIMITS)
            .await
            .unwrap();
        migrate(&draft).await;
        draft.close().await.unwrap();
        server
            .execute_unprepared("ALTER DATABASE signet_draft RENAME TO signet_template")
            .await
            .unwrap();
    }
    locked.close().await.unwrap();
}
