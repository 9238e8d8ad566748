//! Migrations: each is applied once, also with concurrent starts, killed processes and newer versions.

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

use migration::{Lock, begin_locked};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use signet::accounts::{self, Database};

use crate::{
    binary::{Home, Service, exchange, failure, stdout},
    store::{LIMITS, Store},
};

const MIGRATIONS: usize = 7;

async fn open(home: &Home) -> Database {
    accounts::open(&home.database(), LIMITS).await.unwrap()
}

/// Returns a home with an open database, or `None` on SQLite. SQLite has one writer at a time, and no advisory locks.
async fn on_postgres() -> Option<(Home, Database)> {
    if !Store::is_postgres() {
        return None;
    }
    let home = Home::new();
    let db = open(&home).await;
    Some((home, db))
}

/// Returns a database with one pending migration, and a transaction that has acquired the migration lock like another process.
async fn locked() -> Option<(Home, Database, DatabaseTransaction)> {
    let (home, db) = on_postgres().await?;
    stdout(&home.run(&["migrate"]));
    stdout(&home.run(&["migrate", "down"]));
    let wait = Duration::from_secs(1);
    let other = begin_locked(&db, Lock::Migrations, wait).await.unwrap();
    Some((home, db, other))
}

async fn applied(home: &Home) -> Vec<String> {
    let db = open(home).await;
    let status = migration::status(&db).await.unwrap();
    db.close().await.unwrap();
    status.applied
}

#[tokio::test]
async fn ten_concurrent_starts_apply_each_migration_once() {
    let home = Home::new();
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0"]);
            serve.env("SIGNET_DATABASE_CONNECTIONS", "2");
            std::thread::spawn(|| Service::start(serve))
        })
        .collect();
    let services: Vec<_> = starting
        .into_iter()
        .map(|starting| starting.join().unwrap())
        .collect();
    let logs: String = services
        .iter()
        .map(|service| service.started.as_str())
        .collect();
    // Several processes may share the work: each logs the migrations that it applied.
    let names = logs
        .lines()
        .filter(|line| line.contains("migrations applied"));
    let count: usize = names.map(|line| line.matches("m202").count()).sum();
    assert_eq!(count, MIGRATIONS, "{logs}");
    assert_eq!(applied(&home).await.len(), MIGRATIONS);
}

/// A process that is killed during the second migration leaves only the first. The next start applies the rest.
#[tokio::test]
async fn killed_process_leaves_only_complete_migrations() {
    let home = Home::new();
    let db = open(&home).await;
    <migration::Migrator as migration::MigratorTrait>::up(&db, Some(1))
        .await
        .unwrap();
    let blocker = db.begin().await.unwrap();
    // On PostgreSQL, the second migration creates the table `attempts`, then blocks on the lock of the table `users`.
    let hold = if Store::is_postgres() {
        "LOCK TABLE users IN ACCESS SHARE MODE"
    } else {
        "UPDATE users SET is_active = is_active"
    };
    blocker.execute_unprepared(hold).await.unwrap();
    let mut migrate = home
        .command(&["migrate"])
        .env("SIGNET_DATABASE_WAIT", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(migrate.stderr.take().unwrap()).lines();
    assert!(log.any(|line| {
        line.unwrap()
            .contains("waiting for another process that migrates")
    }));
    migrate.kill().unwrap();
    migrate.wait().unwrap();
    assert_eq!(applied(&home).await, ["m20261123_000001_users"]);

    blocker.rollback().await.unwrap();
    db.close().await.unwrap();
    let said = stdout(&home.run(&["migrate"]));
    assert_eq!(
        said,
        "applied m20261123_000002_attempts\napplied m20261123_000003_imported\n\
         applied m20261128_000004_expand_imported_fields\n\
         applied m20261129_000005_expand_maintenance\n\
         applied m20261129_000006_expand_signing_keys\n\
         applied m20261129_000007_expand_served_keys\n"
    );
}

#[tokio::test]
async fn migration_blocks_on_another_process_until_the_deadline() {
    let Some((home, db, other)) = locked().await else {
        return;
    };
    let busy = migration::apply(&db, Duration::from_millis(300)).await;
    let told = busy.unwrap_err().to_string();
    assert!(told.contains("for 300ms"), "{told}");
    let mut migrate = home
        .command(&["migrate"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(migrate.stderr.take().unwrap()).lines();
    assert!(log.any(|line| {
        line.unwrap()
            .contains("waiting for another process that migrates")
    }));
    other.rollback().await.unwrap();
    assert_eq!(
        stdout(&migrate.wait_with_output().unwrap()),
        "applied m20261129_000007_expand_served_keys\n"
    );
    db.close().await.unwrap();
}

/// A pooler in transaction mode may assign the connection to another client after each transaction. Locks and settings of the session
/// would then affect that client.
#[tokio::test]
async fn lock_is_released_with_its_transaction_and_keeps_session_settings() {
    let Some((_home, db)) = on_postgres().await else {
        return;
    };
    let settings = async || {
        let query = "SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') AS settings, \
                     (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks";
        let row = db
            .query_one_raw(Statement::from_string(DbBackend::Postgres, query))
            .await;
        let row = row.unwrap().unwrap();
        let settings: String = row.try_get("", "settings").unwrap();
        (settings, row.try_get::<i64>("", "locks").unwrap())
    };
    let before = settings().await;
    assert_eq!(before.1, 0);
    for lock in [Lock::Migrations, Lock::Accounts] {
        let wait = Duration::from_millis(123);
        let transaction = begin_locked(&db, lock, wait).await.unwrap();
        begin_locked(&db, lock, wait).await.unwrap_err();
        transaction.commit().await.unwrap();
        assert_eq!(settings().await, before);
    }
    db.close().await.unwrap();
}

/// The timeout limits only the time that other processes block a migration. The statements of the migration have no time limit.
#[tokio::test]
async fn slow_migration_is_not_interrupted() {
    let Some((_home, db)) = on_postgres().await else {
        return;
    };
    db.execute_unprepared(
        "CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); END'; \
         CREATE EVENT TRIGGER slow ON ddl_command_start EXECUTE FUNCTION dawdle()",
    )
    .await
    .unwrap();
    let patience = Duration::from_millis(400);
    let applied = migration::apply(&db, patience).await.unwrap();
    assert_eq!(applied.len(), MIGRATIONS);
    db.close().await.unwrap();
}

/// If the query that counts accounts fails, the database may contain accounts. `migrate down` must then fail.
#[tokio::test]
async fn migrate_down_fails_if_accounts_cannot_be_counted() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let add = ["user", "create", "a@example.com", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = open(&home).await;
    let blocker = db.begin().await.unwrap();
    let hold = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    blocker.execute_unprepared(hold).await.unwrap();
    let mut down = home.command(&["migrate", "down"]);
    down.env("SIGNET_DATABASE_WAIT", "1");
    let (code, said) = failure(&down.output().unwrap());
    assert_eq!(code, 1);
    assert!(
        said.contains("another process has locked the database"),
        "{said}"
    );
    blocker.rollback().await.unwrap();
    assert_eq!(applied(&home).await.len(), MIGRATIONS);
    db.close().await.unwrap();
}

/// If `/healthz` failed, an orchestrator would restart the service in the middle of a migration. The service port stays closed, so that
/// clients fail immediately instead of waiting.
#[tokio::test]
async fn service_that_is_blocked_before_migrating_is_alive_but_not_ready() {
    let Some((home, db, other)) = locked().await else {
        return;
    };
    let [port, admin] = [free_port(), free_port()];
    let listen = format!("127.0.0.1:{port}");
    let mut serve = home.command(&["serve", "--listen", &listen]);
    serve.env("SIGNET_ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
    let starting = std::thread::spawn(|| Service::start(serve));
    let admin = ([127, 0, 0, 1], admin).into();
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(admin, request.as_bytes())
    };
    while TcpStream::connect(admin).is_err() {
        tokio::task::yield_now().await;
    }
    assert!(get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    let ready = get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with(r#"{"status":"starting"}"#));
    assert!(TcpStream::connect(&listen).is_err());

    other.rollback().await.unwrap();
    let service = starting.join().unwrap();
    assert!(get("/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(service.address.port(), port);
    db.close().await.unwrap();
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// During a rolling update, an old replica may restart after a newer version has migrated the database.
#[tokio::test]
async fn migrations_of_a_newer_version_are_accepted_only_if_they_expand() {
    let home = Home::new();
    let add = ["user", "create", "a@example.com", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = open(&home).await;
    let record = async |name: &str| {
        let record = format!("INSERT INTO seaql_migrations VALUES ('{name}', 0)");
        db.execute_unprepared(&record).await.unwrap();
    };
    record("m29991231_000001_expand_sessions").await;
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        "1\ta@example.com\tactive\t\n"
    );
    drop(home.serve(&["--no-migrate"]));
    let (code, said) = failure(&home.run(&["migrate", "down", "--yes"]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("m29991231_000001_expand_sessions"), "{said}");

    record("m29991231_000002_contract_users").await;
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["serve", "--listen", "127.0.0.1:0", "--no-migrate"],
        &["migrate"],
        &["user", "list"],
        &add,
    ] {
        let (code, said) = failure(&home.feed(args, "correct horse\n"));
        assert_eq!(code, 1, "{args:?}: {said}");
        let told =
            "a newer version of signet has migrated the database: m29991231_000002_contract_users";
        assert!(said.contains(told), "{args:?}: {said}");
    }
    let status = stdout(&home.run(&["migrate", "status"]));
    assert!(
        status.ends_with("newer\tm29991231_000002_contract_users\n"),
        "{status}"
    );
    db.close().await.unwrap();
}
