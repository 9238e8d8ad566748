//! `signet database`: copies, backups and checks of whole databases.

use std::{
    fs,
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::accounts;

use crate::{
    binary::{Home, Service, failure, stdout},
    store::{LIMITS, Store},
    world::{OBTAIN, REFRESH, SECRET},
};

const PASSWORD: &str = "correct horse\n";

/// Returns a database with every kind of row: accounts of an import and of a command, a retired ID, a failed login, a published key, and
/// an issuer.
fn filled(home: &Home) {
    let user = |id: i64, email: &str, joined: &str| {
        let fields =
            json!({ "email": email, "password": "!", "is_active": id != 2, "date_joined": joined });
        json!({ "model": "auth.user", "pk": id, "fields": fields })
    };
    let dump = json!([
        user(1, "Ünï@example.com", "1969-12-31T23:59:59.1234567Z"),
        user(2, "disabled@example.com", "1999-01-31T12:00:00.999999Z"),
        user(7, "deleted@example.com", "2027-01-31T12:00:00Z"),
    ]);
    fs::write(home.path().join("dump.json"), dump.to_string()).unwrap();
    stdout(&home.run(&["user", "import", "dump.json"]));
    stdout(&home.run(&["user", "delete", "--id", "7", "--yes"]));
    let create = ["user", "create", "you@example.com", "--password-stdin"];
    stdout(&home.feed(&create, PASSWORD));
    let key = stdout(&home.run(&["secret", "generate", "--algorithm", "es256"]));
    fs::write(home.path().join("keys.pem"), key).unwrap();
    let issuer = "https://auth.example.com";
    let service = home.serve(&["--jwt-keys-file", "keys.pem", "--jwt-issuer", issuer]);
    let wrong = json!({ "email": "you@example.com", "password": "wrong" });
    assert_eq!(service.post(OBTAIN, &wrong).0, 400);
    let right = json!({ "email": "you@example.com", "password": "correct horse" });
    assert_eq!(service.post(OBTAIN, &right).0, 200);
}

/// Runs a command with another database than that of the home.
fn run_on(home: &Home, url: &str, args: &[&str]) -> Output {
    let mut signet = home.command(args);
    signet.env("SIGNET_DATABASE_URL", url).stdin(Stdio::null());
    signet.output().unwrap()
}

fn contents(home: &Home, url: &str) -> Value {
    let check = run_on(home, url, &["database", "check", "--json"]);
    let check: Value = serde_json::from_str(&stdout(&check)).unwrap();
    check["contents"].clone()
}

fn copy(home: &Home, from: &str, to: &str, flags: &[&str]) -> Output {
    let args = ["database", "copy", "--from", from, "--to", to];
    home.run(&[&args, flags].concat())
}

/// Starts a service on this database, always with the same secret.
fn serve(home: &Home, url: &str) -> Service {
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_DATABASE_URL", url)
        .env("SIGNET_JWT_SECRET", SECRET);
    Service::start(command)
}

/// Runs SQL on a database of the home.
async fn execute(home: &Home, url: &str, sql: &str) {
    let path = url.strip_prefix("sqlite:");
    let url = path.map_or(url.to_owned(), |path| {
        format!("sqlite:{}", home.path().join(path).display())
    });
    let db = accounts::open(&url, LIMITS).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// Copies to SQLite and back. On PostgreSQL, each copy changes the kind of the database.
#[test]
fn copy_has_equal_rows_in_both_directions() {
    let home = Home::new();
    filled(&home);
    let original = home.database();
    let rows = contents(&home, &original);
    assert_eq!(rows["accounts"]["rows"], 3);
    assert_eq!(rows["retired_ids"]["rows"], 1);
    assert!(rows["attempts"]["rows"].as_u64() >= Some(1), "{rows}");
    assert_eq!(rows["signing_keys"]["rows"], 1);
    assert_eq!(rows["issuers"]["rows"], 1);

    let sqlite = "sqlite:copies/signet.db";
    let printed = stdout(&copy(&home, &original, sqlite, &["--json"]));
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), rows);
    assert_eq!(contents(&home, sqlite), rows);

    let second = Home::new();
    let back = if Store::is_postgres() {
        second.database()
    } else {
        "sqlite:second.db".to_owned()
    };
    stdout(&copy(&home, sqlite, &back, &[]));
    assert_eq!(contents(&home, &back), rows);
    // New IDs follow the largest ID that was ever used.
    let create = ["user", "create", "new@example.com", "--password-stdin"];
    let mut create = home.command(&create);
    create.env("SIGNET_DATABASE_URL", &back);
    create.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut create = create.spawn().unwrap();
    std::io::Write::write_all(&mut create.stdin.take().unwrap(), PASSWORD.as_bytes()).unwrap();
    let created = stdout(&create.wait_with_output().unwrap());
    assert_eq!(created, "created account 9 (new@example.com)\n");
}

/// The files of keys and secrets are not in the database.
#[test]
fn copy_to_postgresql_names_the_files_that_the_service_needs() {
    if !Store::is_postgres() {
        return;
    }
    let source = Home::on_sqlite();
    stdout(&source.run(&["migrate"]));
    for (algorithm, files) in [
        (
            "HS256",
            "SIGNET_JWT_KEYS_FILE, SIGNET_JWT_SECRET_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
        ),
        (
            "ES256",
            "the new database, and SIGNET_JWT_KEYS_FILE and SIGNET_JWT_PREVIOUS_SECRETS_FILE",
        ),
    ] {
        let target = Home::new();
        let (from, to) = (source.database(), target.database());
        let mut copy = source.command(&["database", "copy", "--from", &from, "--to", &to]);
        copy.env("SIGNET_JWT_ALGORITHM", algorithm);
        let copy = copy.env("SIGNET_JWT_KEYS_FILE", "keys.pem");
        let said = stdout(&copy.output().unwrap());
        assert!(said.contains(files), "{said}");
    }
}

#[test]
fn token_stays_valid_after_a_copy() {
    let home = Home::new();
    filled(&home);
    let old = serve(&home, &home.database());
    let login = json!({ "email": "you@example.com", "password": "correct horse" });
    let (_, token) = old.post(OBTAIN, &login);
    let copied = copy(&home, &home.database(), "sqlite:copy.db", &[]);
    stdout(&copied);
    let new = serve(&home, "sqlite:copy.db");
    let refresh = json!({ "token": token["token"] });
    assert_eq!(new.post(REFRESH, &refresh).0, 200);
    assert_eq!(new.post(OBTAIN, &login).0, 200);
}

#[test]
fn rows_of_the_target_are_replaced_only_on_request() {
    let home = Home::new();
    filled(&home);
    let original = home.database();
    stdout(&copy(&home, &original, "sqlite:copy.db", &[]));
    let rows = contents(&home, "sqlite:copy.db");
    stdout(&run_on(
        &home,
        "sqlite:copy.db",
        &["user", "delete", "--id", "2", "--yes"],
    ));
    let changed = contents(&home, "sqlite:copy.db");

    for (flags, reason) in [
        (&[][..], "the target has"),
        (&["--replace"], "cannot ask for confirmation"),
    ] {
        let (code, said) = failure(&copy(&home, &original, "sqlite:copy.db", flags));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(reason) && said.contains("hint: "), "{said}");
        assert_eq!(contents(&home, "sqlite:copy.db"), changed);
    }
    stdout(&copy(
        &home,
        &original,
        "sqlite:copy.db",
        &["--replace", "--yes"],
    ));
    assert_eq!(contents(&home, "sqlite:copy.db"), rows);
}

/// Adds accounts until a copy takes a noticeable time.
fn grow(home: &Home, accounts: i64) {
    let rows = (100..100 + accounts).map(|id| format!("{id},user{id}@example.com,!,t\n"));
    let csv = "id,email,password,is_active\n".to_owned() + &rows.collect::<Vec<_>>().concat();
    fs::write(home.path().join("users.csv"), csv).unwrap();
    stdout(&home.run(&["user", "import", "users.csv", "--quiet"]));
}

/// Copies more rows than a query reads.
#[tokio::test]
async fn copy_of_many_counters_is_complete() {
    let home = Home::on_sqlite();
    stdout(&home.run(&["migrate"]));
    let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
                  INSERT INTO attempts (subject, settled_at) SELECT printf('%064x', i * 7919), i FROM n";
    execute(&home, &home.database(), insert).await;
    let printed = stdout(&copy(
        &home,
        &home.database(),
        "sqlite:copy.db",
        &["--json"],
    ));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["attempts"]["rows"], 2500);
    assert_eq!(contents(&home, "sqlite:copy.db"), printed);
}

/// A service on the source may change rows after the snapshot of the copy.
#[test]
fn use_of_the_source_is_reported() {
    let home = Home::new();
    filled(&home);
    let original = home.database();
    let said = |target: &str| {
        let copied = copy(&home, &original, target, &[]);
        let said = String::from_utf8_lossy(&copied.stderr).into_owned();
        stdout(&copied);
        said
    };
    let unused = said("sqlite:first.db");
    assert!(unused.contains("no service used the source"), "{unused}");
    let service = home.serve(&[]);
    let used = said("sqlite:second.db");
    assert!(used.contains("not in maintenance"), "{used}");
    if !Store::is_postgres() {
        std::os::unix::fs::symlink("data/signet.db", home.path().join("link.db")).unwrap();
        let linked = copy(&home, "sqlite:link.db", "sqlite:third.db", &[]);
        let linked = String::from_utf8_lossy(&linked.stderr).into_owned();
        assert!(linked.contains("not in maintenance"), "{linked}");
    }
    drop(service);
}

#[tokio::test]
async fn row_that_cannot_be_read_is_named() {
    let home = Home::new();
    filled(&home);
    let original = home.database();
    let spoil = "UPDATE users SET created = '294000-01-01 00:00:00+00:00' WHERE id = 2";
    execute(&home, &original, spoil).await;
    let (code, said) = failure(&copy(&home, &original, "sqlite:copy.db", &[]));
    assert_eq!(code, 1);
    assert!(
        said.contains("the source failed: cannot read account 2"),
        "{said}"
    );
    assert!(said.contains("no rows were changed"), "{said}");
    let (_, said) = failure(&run_on(&home, &original, &["database", "check"]));
    assert!(said.contains("cannot read account 2"), "{said}");
}

/// A trigger makes the copy fail after the rows of the target are deleted.
#[tokio::test]
async fn failed_copy_keeps_the_rows_of_the_target() {
    let source = Home::on_sqlite();
    grow(&source, 3_000);
    let home = Home::new();
    filled(&home);
    let target = home.database();
    let rows = contents(&home, &target);
    for sql in if Store::is_postgres() {
        &[
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$",
            "CREATE TRIGGER fail BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.id = 2500) EXECUTE FUNCTION fail()",
        ][..]
    } else {
        &[
            "CREATE TRIGGER fail BEFORE INSERT ON users WHEN NEW.id = 2500 BEGIN SELECT RAISE(FAIL, 'planted'); END",
        ]
    } {
        execute(&home, &target, sql).await;
    }
    let from = format!("sqlite:{}", source.path().join("data/signet.db").display());
    let (code, said) = failure(&copy(&home, &from, &target, &["--replace", "--yes"]));
    assert_eq!(code, 1);
    assert!(
        said.contains("the target failed: ") && said.contains("planted"),
        "{said}"
    );
    assert!(said.contains("no rows were changed"), "{said}");
    assert_eq!(contents(&home, &target), rows);
}

#[test]
fn interrupted_copy_keeps_the_rows_of_the_target() {
    let home = Home::on_sqlite();
    filled(&home);
    stdout(&copy(&home, &home.database(), "sqlite:copy.db", &[]));
    let rows = contents(&home, "sqlite:copy.db");
    grow(&home, 20_000);
    let args = ["database", "copy", "--from", "sqlite:data/signet.db"];
    let to = ["--to", "sqlite:copy.db", "--replace", "--yes"];
    let mut signet = home.command(&[&args[..], &to].concat());
    let signet = signet.stdout(Stdio::null()).stderr(Stdio::piped());
    let signet = signet.spawn().unwrap();
    while !is_copying(home.path()) {
        std::thread::yield_now();
    }
    let mut kill = Command::new("kill");
    kill.args(["-INT", &signet.id().to_string()]);
    assert!(kill.status().unwrap().success());
    let (code, said) = failure(&signet.wait_with_output().unwrap());
    assert_eq!(code, 130, "{said}");
    assert_eq!(contents(&home, "sqlite:copy.db"), rows);
}

#[test]
fn killed_copy_leaves_no_file() {
    let home = Home::on_sqlite();
    grow(&home, 20_000);
    let args = ["database", "copy", "--from", "sqlite:data/signet.db"];
    let mut signet = home.command(&[&args[..], &["--to", "sqlite:copy.db"]].concat());
    let mut signet = signet.stdout(Stdio::null()).spawn().unwrap();
    // The write-ahead log of the new file grows during the copy.
    while !is_copying(home.path()) {
        std::thread::yield_now();
    }
    signet.kill().unwrap();
    assert_eq!(signet.wait().unwrap().signal(), Some(9));
    assert!(!home.path().join("copy.db").exists());
    // The next copy is complete.
    stdout(&copy(&home, "sqlite:data/signet.db", "sqlite:copy.db", &[]));
    let original = contents(&home, "sqlite:data/signet.db");
    assert_eq!(contents(&home, "sqlite:copy.db"), original);
}

fn is_copying(folder: &Path) -> bool {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .filter(|file| file.file_name().to_string_lossy().ends_with("-wal"))
        .any(|file| file.metadata().is_ok_and(|file| file.len() > 200_000))
}

#[test]
fn full_disk_leaves_no_rows() {
    let home = Home::on_sqlite();
    grow(&home, 5_000);
    let signet = home.command(&["database", "copy"]);
    let mut limited = Command::new("sh");
    // A write beyond the limit fails as on a full disk.
    limited.args([
        "-c",
        "trap '' XFSZ; ulimit -f 600; exec \"$0\" database copy --from sqlite:data/signet.db --to sqlite:copy.db",
    ]);
    limited.arg(signet.get_program()).env_clear();
    for (name, value) in signet.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited.current_dir(home.path()).arg0("sh");
    let (code, said) = failure(&limited.output().unwrap());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("no rows were changed"), "{said}");
    let names = fs::read_dir(home.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| !Path::new(name).starts_with("copy.db")
                && !name.to_string_lossy().starts_with(".signet-new")),
        "{names:?}"
    );
}

#[test]
fn unusable_source_or_target_is_named() {
    let home = Home::on_sqlite();
    let path = |name| home.path().join(name);
    fs::write(path("text"), "text ".repeat(100)).unwrap();
    fs::hard_link(path("text"), path("other name")).unwrap();
    let copy_db = "sqlite:copy.db";
    for (from, to, code, reason) in [
        (
            "sqlite:none.db",
            copy_db,
            1,
            "--from: the file none.db does not exist",
        ),
        ("sqlite:text", copy_db, 1, "--from"),
        ("mysql://x", copy_db, 2, "cannot use the database in --from"),
        (
            "sqlite::memory:",
            copy_db,
            2,
            "--from is a database in memory",
        ),
        (
            "sqlite:text",
            "sqlite:other name",
            2,
            "--from and --to are the same database",
        ),
        (
            "postgres://u:hunter2@h/d",
            copy_db,
            2,
            "--from: the URL contains a password",
        ),
    ] {
        let (actual, said) = failure(&copy(&home, from, to, &[]));
        assert_eq!(actual, code, "{said}");
        assert!(said.contains(reason) && !said.contains("hunter2"), "{said}");
        assert!(!home.path().join("copy.db").exists());
    }
}

#[test]
fn backup_of_a_running_service_is_complete_and_private() {
    let home = Home::on_sqlite();
    filled(&home);
    let _service = home.serve(&[]);
    let printed = stdout(&home.run(&["database", "backup", "backup.db"]));
    assert_eq!(printed, "wrote backup.db\n");
    let original = contents(&home, &home.database());
    assert_eq!(contents(&home, "sqlite:backup.db"), original);
    let mode = fs::metadata(home.path().join("backup.db")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let (code, said) = failure(&home.run(&["database", "backup", "backup.db"]));
    assert_eq!(code, 1);
    assert!(said.contains("the file exists"), "{said}");
}

/// SQLite would write the changes of the deleted database into the new database.
#[test]
fn files_of_a_deleted_database_are_not_used() {
    let home = Home::on_sqlite();
    filled(&home);
    for suffix in ["-wal", "-shm", "-journal"] {
        let leftover = home.path().join(format!("new.db{suffix}"));
        fs::write(&leftover, "left").unwrap();
        let copied = copy(&home, &home.database(), "sqlite:new.db", &[]);
        let backup = home.run(&["database", "backup", "new.db"]);
        for output in [copied, backup] {
            let (_, said) = failure(&output);
            assert!(said.contains("belongs to a deleted database"), "{said}");
        }
        assert!(!home.path().join("new.db").exists());
        fs::remove_file(leftover).unwrap();
    }
}

#[test]
fn backup_of_postgresql_names_its_tool() {
    if Store::is_postgres() {
        let (_, said) = failure(&Home::new().run(&["database", "backup", "backup.db"]));
        assert!(said.contains("pg_dump"), "{said}");
    }
}

#[test]
fn check_finds_damage() {
    let home = Home::on_sqlite();
    grow(&home, 1_000);
    let path = home.path().join("data/signet.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let (code, said) = failure(&home.run(&["database", "check"]));
    assert_eq!(code, 1);
    assert!(said.contains("the database is damaged: "), "{said}");
    assert!(!said.contains('\u{fffd}'), "{said}");
    let (_, said) = failure(&copy(&home, &home.database(), "sqlite:copy.db", &[]));
    assert!(said.contains("--from: the database is damaged: "), "{said}");
}

/// A backup may be older than the newest migration.
#[test]
fn check_reports_pending_migrations() {
    let home = Home::new();
    filled(&home);
    stdout(&home.run(&["migrate", "down", "--yes"]));
    let check = home.run(&["database", "check", "--json"]);
    let check: Value = serde_json::from_str(&stdout(&check)).unwrap();
    let damaged = if Store::is_postgres() {
        Value::Null
    } else {
        json!(false)
    };
    let expected = json!({
        "damaged": damaged,
        "pending": ["m20261129_000007_expand_served_keys"],
        "contents": null,
    });
    assert_eq!(check, expected);
    let check = stdout(&home.run(&["database", "check"]));
    assert!(check.contains("migrations are pending: m2026"), "{check}");
}

#[test]
fn maintenance_rejects_changes_and_answers_refreshes() {
    let home = Home::new();
    filled(&home);
    let service = home.serve(&[]);
    let login = json!({ "email": "you@example.com", "password": "correct horse" });
    let (_, token) = service.post(OBTAIN, &login);
    let refresh = json!({ "token": token["token"] });

    let csv = "id,email,password,is_active\n50,new@example.com,!,t\n";
    fs::write(home.path().join("new.csv"), csv).unwrap();
    let on = ["database", "maintenance", "on"];
    stdout(&home.run(&on));
    let (status, body) = service.post(OBTAIN, &login);
    let unavailable = "Service temporarily unavailable, try again later.";
    assert_eq!((status, &body["detail"]), (503, &json!(unavailable)));
    assert_eq!(service.post(REFRESH, &refresh).0, 200);
    for change in [
        &["user", "create", "new@example.com", "--password-stdin"][..],
        &["user", "disable", "--id", "1"],
        &["user", "revoke-tokens", "--all"],
        &["user", "delete", "--id", "1", "--yes"],
        &["user", "import", "new.csv"],
    ] {
        let (code, said) = failure(&home.feed(change, PASSWORD));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("the database is in maintenance"), "{said}");
        assert!(said.contains("hint: wait for the end"), "{said}");
    }
    let again: Value =
        serde_json::from_str(&stdout(&home.run(&[&on[..], &["--json"]].concat()))).unwrap();
    assert_eq!(again, json!({ "maintenance": true, "changed": false }));
    let doctor = home.run(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.contains("warning\tmaintenance\ton since 20"),
        "{doctor}"
    );

    stdout(&home.run(&["database", "maintenance", "off"]));
    assert_eq!(service.post(OBTAIN, &login).0, 200);
}

/// Moves a service with traffic to another database: refreshes succeed all the time, and no acknowledged change is lost.
#[test]
fn service_moves_without_loss() {
    let home = Home::new();
    filled(&home);
    let old = serve(&home, &home.database());
    let login = json!({ "email": "you@example.com", "password": "correct horse" });
    let (_, token) = old.post(OBTAIN, &login);
    let refresh = json!({ "token": token["token"] });
    let is_moving = AtomicBool::new(true);
    let created = std::thread::scope(|scope| {
        let refreshes = scope.spawn(|| {
            while is_moving.load(Ordering::Relaxed) {
                assert_eq!(old.post(REFRESH, &refresh).0, 200);
            }
        });
        let writer = scope.spawn(|| {
            let mut created = Vec::new();
            loop {
                let email = format!("user{}@example.com", created.len());
                let create = ["user", "create", &email, "--password-stdin"];
                if !home.feed(&create, PASSWORD).status.success() {
                    return created;
                }
                created.push(email);
            }
        });
        while home
            .run(&["user", "show", "user1@example.com"])
            .status
            .code()
            != Some(0)
        {}
        stdout(&home.run(&["database", "maintenance", "on"]));
        let created = writer.join().unwrap();
        let copied = copy(&home, &home.database(), "sqlite:moved.db", &[]);
        let said = String::from_utf8_lossy(&copied.stderr).into_owned();
        stdout(&copied);
        assert!(said.contains("no change of an account is lost"), "{said}");
        let new = serve(&home, "sqlite:moved.db");
        assert_eq!(new.post(REFRESH, &refresh).0, 200);
        assert_eq!(new.post(OBTAIN, &login).0, 200);
        is_moving.store(false, Ordering::Relaxed);
        refreshes.join().unwrap();
        created
    });
    let moved = stdout(&run_on(&home, "sqlite:moved.db", &["user", "list"]));
    assert!(created.len() >= 2);
    for email in created {
        assert!(moved.contains(&format!("\t{email}\t")), "{email} is lost");
    }
}
