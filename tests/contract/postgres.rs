//! Errors of commands and log lines if the PostgreSQL database is unusable.

use std::process::{Command, Output};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::accounts::{self, Database};

use crate::{
    binary::{Home, Service, failure, stdout},
    relay::Relay,
    store::{LIMITS, Store},
    world::{OBTAIN, REFRESH, SECRET},
};

/// Runs commands with this database, asserts that all of them fail with this exit code, and returns their output. `doctor` always fails
/// with 1.
fn said(home: &Home, url: &str, code: i32) -> Vec<String> {
    let run = |args: &[&str]| {
        let mut command = home.command(args);
        command
            .env("SIGNET_DATABASE_URL", url)
            .env("SIGNET_DATABASE_WAIT", "1s")
            .env("SIGNET_JWT_SECRET", SECRET);
        let output: Output = command.output().unwrap();
        let code = if args == ["doctor"] { 1 } else { code };
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let said = [&*output.stdout, &*output.stderr].concat();
        String::from_utf8(said).unwrap()
    };
    vec![
        run(&["migrate"]),
        run(&["migrate", "status"]),
        run(&["doctor"]),
        run(&["user", "list"]),
        run(&["serve", "--listen", "127.0.0.1:0"]),
    ]
}

#[test]
fn commands_report_a_refused_connection() {
    let home = Home::on_sqlite();
    let url = "postgres://signet:hunter2@127.0.0.1:1/signet";
    let import = home.run(&["user", "import", "--from-database", url]);
    let import = failure(&import).1;
    for said in said(&home, url, 1).into_iter().chain([import]) {
        assert!(
            said.contains("Connection refused") && !said.contains("timed out"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// The address 0.0.0.0 leads to this machine, and the port refuses connections. Only the address decides whether a host is remote.
#[test]
fn connection_to_a_remote_host_without_tls_is_reported() {
    let home = Home::on_sqlite();
    let warning = "may have no TLS";
    for (server, is_reported) in [
        ("signet@0.0.0.0:1/signet", true),
        ("signet@0.0.0.0:1/signet?sslmode=require", false),
        ("signet@0.0.0.0:1/signet?sslmode=verify-full", false),
        ("signet@127.0.0.1:1/signet", false),
        ("signet@[::1]:1/signet", false),
        ("signet@localhost:1/signet", false),
        ("signet@%2Fnowhere/signet", false),
    ] {
        let url = format!("postgres://{server}");
        let run = |args: &[&str]| {
            let mut signet = home.command(args);
            let signet = signet.env("SIGNET_DATABASE_URL", &url);
            let signet = signet.env("SIGNET_JWT_SECRET", SECRET);
            String::from_utf8(signet.output().unwrap().stderr).unwrap()
        };
        let said = run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(said.contains(warning), is_reported, "{server}: {said}");
        assert_eq!(said.contains("sslmode=verify-full&"), is_reported, "{said}");
        let doctor = home
            .command(&["doctor"])
            .env("SIGNET_DATABASE_URL", &url)
            .output();
        let doctor = String::from_utf8(doctor.unwrap().stdout).unwrap();
        assert_eq!(doctor.contains(warning), is_reported, "{server}: {doctor}");
    }
}

/// The role of the guide has the privileges for logins, failed logins and refreshes.
#[tokio::test]
async fn role_of_the_guide_serves_requests() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let create = ["user", "create", "you@example.com", "--password-stdin"];
    stdout(&home.feed(&create, "correct horse\n"));
    let guide = include_str!("../../docs/guides/postgresql.md");
    let (_, grants) = guide.split_once("> CREATE ROLE serving").unwrap();
    let (grants, _) = grants.split_once("> END").unwrap();
    let grants = format!("CREATE ROLE serving {}", grants.replace("\n> ", "\n"));
    let db = accounts::open(&home.database(), LIMITS).await.unwrap();
    db.execute_unprepared(&grants).await.unwrap();
    assert_missing_privileges_are_reported(&home, &db).await;

    let mut serve = home.command(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]);
    let url = home.database().replace("//signet@", "//serving@");
    serve.env("SIGNET_DATABASE_URL", url);
    serve.env("SIGNET_JWT_SECRET", SECRET);
    serve.env("SIGNET_JWT_KEYS_FILE", "keys.pem");
    let service = Service::start(serve);
    let login = |password| {
        let credentials = json!({ "email": "you@example.com", "password": password });
        service.post(OBTAIN, &credentials)
    };
    assert_eq!(login("wrong").0, 400);
    let (status, token) = login("correct horse");
    assert_eq!(status, 200);
    let refresh = json!({ "token": token["token"] });
    assert_eq!(service.post(REFRESH, &refresh).0, 200);
    drop(service);
    let forget = "DROP OWNED BY serving; DROP ROLE serving";
    db.execute_unprepared(forget).await.unwrap();
    db.close().await.unwrap();
}

/// A service with keys needs the privileges for three more tables.
async fn assert_missing_privileges_are_reported(home: &Home, db: &Database) {
    let generate = ["secret", "generate", "--algorithm", "es256"];
    let key = stdout(&home.run(&generate));
    std::fs::write(home.path().join("keys.pem"), key).unwrap();
    let run = |args: &[&str]| {
        let mut command = home.command(args);
        let url = home.database().replace("//signet@", "//serving@");
        command
            .env("SIGNET_DATABASE_URL", url)
            .env("SIGNET_JWT_KEYS_FILE", "keys.pem");
        let output: Output = command.output().unwrap();
        let said = [&*output.stdout, &*output.stderr].concat();
        String::from_utf8(said).unwrap()
    };
    let change = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    assert!(!run(&["doctor"]).contains("the role lacks"));
    change("REVOKE INSERT ON signing_keys, served_keys FROM serving").await;
    let said = run(&["doctor"]);
    assert!(
        said.contains("the role lacks INSERT on signing_keys, INSERT on served_keys"),
        "{said}"
    );
    let said = run(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("cannot publish the keys"), "{said}");
    assert!(
        said.contains("permission denied for table signing_keys"),
        "{said}"
    );
    assert!(said.contains("section Roles"), "{said}");
    change("GRANT INSERT ON signing_keys, served_keys TO serving").await;
}

#[tokio::test]
async fn commands_report_the_connection_limit_of_the_role() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let db = accounts::open(&home.database(), LIMITS).await.unwrap();
    let role = format!("without_connections_{}", std::process::id());
    db.execute_unprepared(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
        .await
        .unwrap();
    let url = home
        .database()
        .replace("://signet@", &format!("://{role}@"));
    let all = said(&home, &url, 1);
    db.execute_unprepared(&format!("DROP ROLE {role}"))
        .await
        .unwrap();
    db.close().await.unwrap();
    for said in all {
        assert!(
            said.contains("too many connections") && said.contains("SIGNET_DATABASE_CONNECTIONS"),
            "{said}"
        );
    }
}

#[test]
fn service_logs_a_refused_connection() {
    if !Store::is_postgres() {
        return;
    }
    let mut home = Home::new();
    let relay = Relay::new(&home.database());
    let url = relay.through(&home.database());
    for (name, value) in &mut home.environment {
        if *name == "SIGNET_DATABASE_URL" {
            value.clone_from(&url);
        }
    }
    let mut service = home.serve(&["--database-wait", "1"]);
    relay.hang_up();
    let credentials = json!({ "email": "you@example.com", "password": "correct horse" });
    // The first requests may use a connection that was still open.
    let mut faults = Vec::new();
    let is_named = (0..20).any(|_| {
        assert_eq!(service.post(OBTAIN, &credentials).0, 503);
        let event: Value = service.wait_for("service unavailable");
        faults.push(event["error"].as_str().unwrap().to_owned());
        faults.last().unwrap().contains("Connection refused")
    });
    assert!(is_named, "{faults:?}");
}

#[test]
fn url_with_several_hosts_is_rejected() {
    let home = Home::on_sqlite();
    for url in [
        "postgres://db1,db2/signet",
        "postgres://signet:hunter2@db1:5432,db2:5432/signet?target_session_attrs=primary",
        "postgresql://signet:hunter2@[::1],[::2]:5433/signet",
        "postgres://signet:hunter2@/signet?host=db1,db2",
        "postgres:///signet?user=signet&password=hunter2&host=%2Frun%2C%2Ftmp",
    ] {
        for said in said(&home, url, 2) {
            assert!(said.contains("several hosts"), "{url}: {said}");
            assert!(!said.contains("hunter2"), "{url}: {said}");
        }
    }
    // A comma in a password does not separate hosts.
    for url in [
        "postgres://signet:hunter2,/a@db/signet",
        "postgres://signet:hunter2,#a@db/signet",
    ] {
        for said in said(&home, url, 2) {
            assert!(
                said.contains("in the password, write / as %2F"),
                "{url}: {said}"
            );
            assert!(!said.contains("hunter2"), "{url}: {said}");
        }
    }
}

#[tokio::test]
async fn non_utf8_database_is_rejected_with_a_working_createdb_command() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let Some(store) = Store::encoded(encoding) else {
            return;
        };
        let url = store.url();
        let home = Home::on(store);
        let mut commands = Vec::new();
        for said in said(&home, &url, 1) {
            let name = url.rsplit('/').next().unwrap();
            let expected =
                format!("the database {name} has the encoding {encoding}, and emails need UTF-8");
            assert!(said.contains(&expected), "{said}");
            commands.push(said.split('`').nth(1).unwrap().to_owned());
        }
        commands.dedup();
        assert_eq!(commands.len(), 1, "{commands:?}");

        // The command creates a database that works. Debian's `createdb` can connect to any server.
        let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
        let made = Command::new("sh")
            .args(["-c", &commands[0]])
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", port)
            .env("PGUSER", "signet")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}: {made:?}", commands[0]);
        let name = commands[0].rsplit(' ').next().unwrap();
        let (server, old) = url.rsplit_once('/').unwrap();
        let right = format!("{server}/{name}");
        assert_eq!(name, format!("{old}_utf8"));
        let add = ["user", "create", "you@почта.рф", "--password-stdin"];
        let add = [&add[..], &["--database-url", &right]].concat();
        stdout(&home.feed(&add, "correct horse\n"));
        let db = accounts::open(&format!("{server}/postgres"), LIMITS)
            .await
            .unwrap();
        db.execute_unprepared(&format!("DROP DATABASE {name}"))
            .await
            .unwrap();
        db.close().await.unwrap();
    }
}
