//! Invalid input from an operator. Each error message gives the cause and the remedy, and no data is lost.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use sea_orm::{ConnectionTrait, TransactionTrait};
use signet::accounts::{self, Database};

use crate::{
    binary::{Home, failure, stdout},
    store::LIMITS,
};

#[test]
fn secret_file_is_checked_at_start() {
    let home = Home::on_sqlite();
    let file = home.path().join("secret");
    let serve = [
        "serve",
        "--demo",
        "--listen",
        "127.0.0.1:0",
        "--jwt-secret-file",
        "secret",
    ];
    for (content, reason) in [
        (
            None,
            "cannot read secret (SIGNET_JWT_SECRET_FILE): No such file",
        ),
        (Some(&b""[..]), "too short: 0 bytes"),
        (Some(b"\n"), "too short: 0 bytes"),
        (Some(b"\r\n"), "too short: 0 bytes"),
        (
            Some(b"0123456789abcdef0123456789abcde\r\n"),
            "too short: 31 bytes",
        ),
    ] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let (code, said) = failure(&home.run(&serve));
        assert_eq!(code, 2);
        assert!(said.contains(reason), "{content:?}: {said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (code, said) = failure(&home.run(&serve));
    assert_eq!(code, 2);
    assert!(said.contains("Is a directory"), "{said}");
    fs::remove_dir(&file).unwrap();

    // A secret may contain any bytes, also invalid UTF-8.
    fs::write(&file, [0xff; 32]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let service = home.serve(&["--demo", "--jwt-secret-file", "secret"]);
    assert!(
        !service.started.contains("other users"),
        "{}",
        service.started
    );
    // If other users can read the file, the service starts and logs a warning.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let service = home.serve(&["--demo", "--jwt-secret-file", "secret"]);
    assert!(
        service
            .started
            .contains("other users can read or change the secret"),
        "{}",
        service.started
    );
}

/// Asserts that every command that needs the database fails for this reason, and does not change the file.
fn assert_refused(home: &Home, database: &Path, reason: &str) {
    let before = fs::read(database).unwrap();
    for args in [
        &["serve"][..],
        &["migrate"],
        &["migrate", "status"],
        &["user", "list"],
        &["user", "create", "b@example.com", "--password-stdin"],
    ] {
        let (code, said) = failure(&home.feed(args, "correct horse\n"));
        assert_eq!(code, 1, "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
    assert!(
        fs::read(database).unwrap() == before,
        "{} was changed",
        database.display()
    );
}

async fn open(database: &Path) -> Database {
    let url = format!("sqlite:{}", database.display());
    accounts::open(&url, LIMITS).await.unwrap()
}

fn with_account() -> (Home, std::path::PathBuf) {
    let home = Home::on_sqlite();
    let add = ["user", "create", "a@example.com", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let database = home.path().join("data/signet.db");
    (home, database)
}

#[test]
fn file_that_is_not_a_database_is_rejected() {
    let home = Home::on_sqlite();
    let database = home.path().join("data/signet.db");
    fs::create_dir(home.path().join("data")).unwrap();
    fs::write(
        &database,
        "a letter to my mother, which is nobody's business\n".repeat(100),
    )
    .unwrap();
    assert_refused(&home, &database, "file is not a database");
}

/// The command fails without a retry, and does not change the tables of the other program.
#[tokio::test]
async fn database_of_another_program_is_rejected() {
    let home = Home::on_sqlite();
    let database = home.path().join("data/signet.db");
    let db = open(&database).await;
    let users = "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('mother')";
    db.execute_unprepared(users).await.unwrap();
    let add = ["user", "create", "b@example.com", "--password-stdin"];
    let (code, said) = failure(&home.feed(&add, "correct horse\n"));
    assert_eq!(code, 1);
    assert!(
        said.contains("check that the database belongs to signet"),
        "{said}"
    );
    let kept = db.query_one_raw(sea_orm::Statement::from_string(
        db.get_database_backend(),
        "SELECT name FROM users",
    ));
    let name: String = kept.await.unwrap().unwrap().try_get("", "name").unwrap();
    assert_eq!(name, "mother");
}

#[tokio::test]
async fn write_fails_while_another_process_locks_the_database() {
    let (home, database) = with_account();
    let db = open(&database).await;
    let writing = db.begin().await.unwrap();
    writing
        .execute_unprepared("UPDATE users SET is_active = is_active")
        .await
        .unwrap();

    let add = ["user", "create", "b@example.com", "--password-stdin"];
    let (code, said) = failure(&home.feed(&add, "correct horse\n"));
    assert_eq!(code, 1);
    assert!(said.contains("database is locked"), "{said}");
    // Read commands still succeed.
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        "1\ta@example.com\tactive\t\n"
    );
    writing.rollback().await.unwrap();
    stdout(&home.feed(&add, "correct horse\n"));
}

/// Runs a script with a small file system at `data`. The file system exists only for the script, in a new mount namespace. Without root,
/// a user namespace makes the user root for the script.
fn run_on_small_disk(home: &Home, script: &str) -> String {
    fs::create_dir_all(home.path().join("data")).unwrap();
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let signet = home.command(&[]);
    let mount = "mount -t tmpfs -o size=400k,mode=700 none data; exec 2>&1";
    let output = unshare
        .args(["--mount", "sh", "-c", &format!("{mount}\n{script}")])
        .env("SIGNET", signet.get_program())
        .envs(
            signet
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SIGNET_LOG", "off")
        .current_dir(home.path())
        .output()
        .unwrap();
    // An error and its hint are one line, because the tests count lines.
    stdout(&output).replace("\nhint: ", "; ")
}

const ADD: &str =
    "add() { echo 'correct horse' | $SIGNET user create $1 --password-stdin; echo \"exit $?\"; }";

#[test]
fn full_disk_is_reported_and_loses_no_account() {
    let home = Home::on_sqlite();
    let said = run_on_small_disk(
        &home,
        &format!(
            "{ADD}
            add a@example.com
            dd if=/dev/zero of=data/filler bs=1k 2>/dev/null
            add b@example.com
            timeout 10 $SIGNET serve --listen 127.0.0.1:0; echo \"exit $?\"
            rm data/filler
            add c@example.com
            $SIGNET user list"
        ),
    );
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..2],
        ["created account 1 (a@example.com)", "exit 0"],
        "{said}"
    );
    // The message depends on the free space when the command fails.
    for (line, exit) in [(2, 3), (4, 5)] {
        let told = ["disk is full", "check for free disk space", "No space left"];
        assert!(told.iter().any(|told| lines[line].contains(told)), "{said}");
        assert_eq!(lines[exit], "exit 1", "{said}");
    }
    // No account was lost, and no ID was skipped.
    assert_eq!(
        lines[6..],
        [
            "created account 2 (c@example.com)",
            "exit 0",
            "1\ta@example.com\tactive\t",
            "2\tc@example.com\tactive\t"
        ],
        "{said}"
    );
}

#[test]
fn database_is_created_after_a_full_disk_has_free_space_again() {
    let home = Home::on_sqlite();
    let said = run_on_small_disk(
        &home,
        &format!(
            "{ADD}
            dd if=/dev/zero of=data/filler bs=1k 2>/dev/null
            add a@example.com
            rm data/filler
            add a@example.com"
        ),
    );
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].contains("check for free disk space"), "{said}");
    assert_eq!(
        lines[1..],
        ["exit 1", "created account 1 (a@example.com)", "exit 0"],
        "{said}"
    );
}

#[test]
fn read_only_database_is_reported() {
    let home = Home::on_sqlite();
    let said = run_on_small_disk(
        &home,
        &format!(
            "{ADD}
            add a@example.com
            mount -o remount,ro data
            add b@example.com
            $SIGNET user list; echo \"exit $?\"
            timeout 10 $SIGNET serve --listen 127.0.0.1:0; echo \"exit $?\"
            mount -o remount,rw data
            add b@example.com"
        ),
    );
    let lines: Vec<_> = said.lines().collect();
    for (line, exit) in [(2, 3), (4, 5), (6, 7)] {
        assert!(lines[line].contains("writable"), "{said}");
        assert_eq!(lines[exit], "exit 1", "{said}");
    }
    assert_eq!(
        lines[8..],
        ["created account 2 (b@example.com)", "exit 0"],
        "{said}"
    );
}

/// The service never verifies a hash above its cost limit. An account with such a hash could not log in any more.
#[test]
fn hash_cost_outside_the_limits_is_rejected() {
    let (home, database) = with_account();
    let before = fs::read(&database).unwrap();
    for (name, value, reason) in [
        (
            "SIGNET_ARGON2_ITERATIONS",
            "500000000",
            "five seconds of a core",
        ),
        (
            "SIGNET_ARGON2_MEMORY_KIB",
            "99999999",
            "more than 1 GiB of memory",
        ),
        (
            "SIGNET_ARGON2_MEMORY_KIB",
            "7",
            "at least 8 KiB of memory for each lane",
        ),
        (
            "SIGNET_HASHING_MEMORY_KIB",
            "31",
            "one hash takes 32 KiB of memory, and SIGNET_HASHING_MEMORY_KIB",
        ),
    ] {
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["user", "create", "b@example.com", "--password-stdin"],
            &["user", "set-password", "a@example.com", "--password-stdin"],
        ] {
            let mut command = home.command(args);
            let output = command
                .env(name, value)
                .stdin(std::process::Stdio::null())
                .output();
            let (code, said) = failure(&output.unwrap());
            assert_eq!(code, 2);
            assert!(said.contains(reason), "{name}={value}: {said}");
        }
    }
    assert!(fs::read(&database).unwrap() == before);
}

#[test]
fn closed_standard_input_is_not_an_empty_password() {
    let home = Home::on_sqlite();
    let mut add = home.command(&["user", "create", "a@example.com", "--password-stdin"]);
    let (code, said) = failure(&add.stdin(std::process::Stdio::null()).output().unwrap());
    assert_eq!(code, 1);
    assert!(
        said.contains("standard input contains no password"),
        "{said}"
    );
    // Without a terminal, the command cannot prompt for the password.
    let add = home.command(&["user", "create", "a@example.com"]);
    let mut detached = std::process::Command::new("setsid");
    detached.arg(add.get_program()).args(add.get_args());
    let output = detached
        .current_dir(home.path())
        .stdin(std::process::Stdio::null())
        .output();
    let (code, said) = failure(&output.unwrap());
    assert_eq!(code, 1);
    assert!(said.contains("--password-stdin"), "{said}");
    let (_, said) = failure(&home.run(&["user", "list"]));
    assert!(said.contains("no database at"), "{said}");
}
