//! Migrations: applied once, whoever else starts, is killed or is newer.

use std::{process::Stdio, time::Duration};

use sea_orm::{ConnectionTrait, TransactionTrait};
use signet::users::{self, Database, Limits};

use crate::{
    binary::{Home, Service, failure, stdout},
    store::Store,
};

const MIGRATIONS: usize = 3;

async fn open(home: &Home) -> Database {
    users::open(&home.database(), Limits::default())
        .await
        .unwrap()
}

async fn applied(home: &Home) -> Vec<String> {
    let db = open(home).await;
    let standing = migration::standing(&db).await.unwrap();
    db.close().await.unwrap();
    standing.applied
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

/// Killed in the middle of the second of three, it leaves one; the next start goes on from there.
#[tokio::test]
async fn whoever_is_killed_in_the_middle_leaves_whole_migrations() {
    if !Store::is_postgres() {
        // Nothing holds a writer of SQLite up in its middle: whoever is killed is killed anywhere.
        for after in 0..20 {
            let home = Home::new();
            let mut migrate = home.command(&["migrate"]).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(after)).await;
            migrate.kill().unwrap();
            migrate.wait().unwrap();
            stdout(&home.run(&["migrate"]));
            assert_eq!(applied(&home).await.len(), MIGRATIONS);
        }
        return;
    }
    let home = Home::new();
    let db = open(&home).await;
    <migration::Migrator as migration::MigratorTrait>::up(&db, Some(1))
        .await
        .unwrap();
    let reading = db.begin().await.unwrap();
    reading
        .execute_unprepared("LOCK TABLE users IN ACCESS SHARE MODE")
        .await
        .unwrap();
    let mut migrate = home
        .command(&["migrate"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    let waiting = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, waiting);
    while reading
        .query_one_raw(waiting.clone())
        .await
        .unwrap()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    migrate.kill().unwrap();
    migrate.wait().unwrap();
    assert_eq!(applied(&home).await, ["m20261123_000001_users"]);

    reading.rollback().await.unwrap();
    db.close().await.unwrap();
    let said = stdout(&home.run(&["migrate"]));
    assert_eq!(
        said,
        "applied m20261123_000002_attempts\napplied m20261123_000003_imported\n"
    );
}

/// A lock that is held is waited for; one whose owner is gone expires.
#[tokio::test]
async fn a_lock_is_waited_for_until_it_expires() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let db = open(&home).await;
    stdout(&home.run(&["migrate"]));
    stdout(&home.run(&["migrate", "down"]));
    let take = "INSERT INTO locks VALUES ('migrations', 'another', clock_timestamp() + interval '2 seconds')";
    db.execute_unprepared(take).await.unwrap();
    let busy = migration::apply(&db, "impatient", Duration::from_millis(300)).await;
    let told = busy.unwrap_err().to_string();
    assert!(
        told.contains("has been migrating this database for 300ms"),
        "{told}"
    );
    assert_eq!(
        stdout(&home.run(&["migrate"])),
        "applied m20261123_000003_imported\n"
    );
    db.close().await.unwrap();
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
