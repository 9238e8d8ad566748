//! Migrations: applied once, whoever else starts, is killed or is newer.

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

const MIGRATIONS: usize = 4;

async fn open(home: &Home) -> Database {
    accounts::open(&home.database(), LIMITS).await.unwrap()
}

/// A home for what SQLite does not know: whoever writes to it is alone, and there is no lock to hold.
async fn on_postgres() -> Option<(Home, Database)> {
    if !Store::is_postgres() {
        return None;
    }
    let home = Home::new();
    let db = open(&home).await;
    Some((home, db))
}

/// Returns a database with one pending migration, and a transaction of another process that migrates.
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
async fn ten_that_start_at_once_all_come_up_and_each_migration_is_applied_once() {
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
    assert_eq!(
        logs.matches("has been applied").count(),
        MIGRATIONS,
        "{logs}"
    );
    assert_eq!(applied(&home).await.len(), MIGRATIONS);
}

/// Killed in the middle of the second migration, it leaves one; the next start goes on from there.
#[tokio::test]
async fn whoever_is_killed_in_the_middle_leaves_whole_migrations() {
    let home = Home::new();
    let db = open(&home).await;
    <migration::Migrator as migration::MigratorTrait>::up(&db, Some(1))
        .await
        .unwrap();
    let holding = db.begin().await.unwrap();
    // On PostgreSQL the second has made its table by then, and waits to change that of the accounts.
    let hold = if Store::is_postgres() {
        "LOCK TABLE users IN ACCESS SHARE MODE"
    } else {
        "UPDATE users SET is_active = is_active"
    };
    holding.execute_unprepared(hold).await.unwrap();
    let mut migrate = home
        .command(&["migrate", "--database-wait", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(migrate.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("waiting for it to migrate")));
    migrate.kill().unwrap();
    migrate.wait().unwrap();
    assert_eq!(applied(&home).await, ["m20261123_000001_users"]);

    holding.rollback().await.unwrap();
    db.close().await.unwrap();
    let said = stdout(&home.run(&["migrate"]));
    assert_eq!(
        said,
        "applied m20261123_000002_attempts\napplied m20261123_000003_imported\n\
         applied m20261128_000004_expand_imported_fields\n"
    );
}

#[tokio::test]
async fn migration_waits_for_another_process_until_the_deadline() {
    let Some((home, db, other)) = locked().await else {
        return;
    };
    let busy = migration::apply(&db, Duration::from_millis(300)).await;
    let told = busy.unwrap_err().to_string();
    assert!(told.contains("for 300ms: see what holds it up"), "{told}");
    let mut migrate = home
        .command(&["migrate"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(migrate.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("waiting for it to migrate")));
    other.rollback().await.unwrap();
    assert_eq!(
        stdout(&migrate.wait_with_output().unwrap()),
        "applied m20261128_000004_expand_imported_fields\n"
    );
    db.close().await.unwrap();
}

/// A pooler in transaction mode may give a connection to another client, and that client to another connection.
#[tokio::test]
async fn locks_end_with_their_transaction_and_change_no_setting_of_the_session() {
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

/// It is others who are waited for with patience: a step of one's own takes as long as it takes.
#[tokio::test]
async fn a_long_migration_is_not_given_up() {
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

/// What cannot be counted may be there.
#[tokio::test]
async fn accounts_that_cannot_be_counted_are_not_lost() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let add = ["user", "add", "a@example.com", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = open(&home).await;
    let holding = db.begin().await.unwrap();
    let hold = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    holding.execute_unprepared(hold).await.unwrap();
    let (code, said) = failure(&home.run(&["migrate", "down", "--database-wait", "1"]));
    assert_eq!(code, 1);
    assert!(said.contains("Another process holds it"), "{said}");
    holding.rollback().await.unwrap();
    assert_eq!(applied(&home).await.len(), MIGRATIONS);
    db.close().await.unwrap();
}

/// Whoever is restarted for being dead would be so in the middle of a migration; clients are not kept waiting.
#[tokio::test]
async fn a_service_that_waits_to_migrate_is_alive_and_lets_nobody_in() {
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

/// One that only expands is lived with: an old replica may start again in the middle of an update.
#[tokio::test]
async fn a_newer_signet_s_migrations_are_lived_with_only_if_they_expand() {
    let home = Home::new();
    let add = ["user", "add", "a@example.com", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = open(&home).await;
    let record = async |name: &str| {
        let record = format!("INSERT INTO seaql_migrations VALUES ('{name}', 0)");
        db.execute_unprepared(&record).await.unwrap();
    };
    record("m29991231_000001_expand_sessions").await;
    assert_eq!(stdout(&home.run(&["user", "list"])), "1  a@example.com\n");
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
        let told = "a newer signet has migrated this database, so that this one cannot work with it: \
                    m29991231_000002_contract_users. Run that one";
        assert!(said.contains(told), "{args:?}: {said}");
    }
    let status = stdout(&home.run(&["migrate", "status"]));
    assert!(
        status.ends_with("newer    m29991231_000002_contract_users\n"),
        "{status}"
    );
    db.close().await.unwrap();
}
