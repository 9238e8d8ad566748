//! Which commands create, migrate, write or only read the database.

use std::{collections::BTreeMap, fs, path::Path};

use crate::binary::{Home, failure, stdout};

const EMAIL: &str = "you@example.com";
/// Commands that only read accounts.
const READ: [&[&str]; 3] = [
    &["user", "list"],
    &["user", "list", "--json"],
    &["user", "show", EMAIL],
];
/// Commands that change existing accounts.
const CHANGE: [&[&str]; 8] = [
    &["user", "set-password", EMAIL, "--password-stdin"],
    &["user", "set-email", EMAIL, "new@example.com"],
    &["user", "enable", EMAIL],
    &["user", "disable", EMAIL],
    &["user", "revoke-tokens", EMAIL],
    &["user", "revoke-tokens", "--all"],
    &["user", "unlock", EMAIL],
    &["user", "delete", EMAIL, "--yes"],
];
const ADD: [&str; 4] = ["user", "create", EMAIL, "--password-stdin"];
const PASSWORD: &str = "correct horse\n";

/// Returns all files and folders below a folder, and the contents of the files.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(files(&path));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

fn with_account() -> Home {
    let home = Home::on_sqlite();
    stdout(&home.feed(&ADD, PASSWORD));
    home
}

#[test]
fn commands_for_existing_accounts_create_no_database() {
    let home = Home::on_sqlite();
    let before = files(home.path());
    let path = fs::canonicalize(home.path())
        .unwrap()
        .join("data/signet.db");
    let message = format!(
        "error: no database at {}\nhint: run `signet migrate`, or set SIGNET_DATABASE_URL",
        path.display()
    );
    for args in READ.iter().chain(&CHANGE) {
        let (code, said) = failure(&home.feed(args, PASSWORD));
        assert_eq!((code, said.trim()), (1, &*message), "{args:?}");
        assert_eq!(files(home.path()), before, "{args:?}");
    }
}

#[test]
fn import_rejects_a_link_to_a_missing_database() {
    let home = Home::on_sqlite();
    fs::create_dir(home.path().join("data")).unwrap();
    let link = home.path().join("data/signet.db");
    std::os::unix::fs::symlink("elsewhere.db", &link).unwrap();
    let source = home.path().join("users.csv");
    fs::write(&source, "id,email,password\n1,you@example.com,!\n").unwrap();
    let (code, said) = failure(&home.run(&["user", "import", "users.csv"]));
    assert_eq!(code, 1, "{said}");
    let problem = "the path is a symbolic link to elsewhere.db, which does not exist";
    assert!(said.contains(problem), "{said}");

    fs::write(home.path().join("data/elsewhere.db"), "").unwrap();
    stdout(&home.run(&["user", "import", "users.csv"]));
    assert!(link.is_symlink());
    assert_eq!(stdout(&home.run(&["user", "list"])).lines().count(), 1);
}

#[test]
fn failing_commands_leave_no_database() {
    let home = Home::on_sqlite();
    for (name, text) in [
        ("empty.csv", "id,email,password\n"),
        ("invalid.csv", "id,email,password\n1,no email,x\n"),
        (
            "broken.csv",
            "id,email,password\n1,a@example.com,!\n2,b@example.com\n",
        ),
        ("broken.json", "[{]"),
    ] {
        fs::write(home.path().join(name), text).unwrap();
    }
    let before = files(home.path());
    for args in [
        &["user", "import", "missing.csv"][..],
        &["user", "import", "empty.csv"],
        &["user", "import", "invalid.csv"],
        &["user", "import", "broken.csv"],
        &["user", "import", "broken.json"],
        &["user", "import", "broken.csv", "--dry-run"],
        &["user", "create", "no email", "--password-stdin"],
    ] {
        failure(&home.feed(args, PASSWORD));
        assert_eq!(files(home.path()), before, "{args:?}");
    }
}

/// The database exists, but has no tables, as after an operator has created it on PostgreSQL.
#[test]
fn failing_imports_leave_an_empty_database_empty() {
    let home = Home::new();
    if home.environment.is_empty() {
        fs::create_dir(home.path().join("data")).unwrap();
        fs::write(home.path().join("data/signet.db"), "").unwrap();
    }
    let csv = home.path().join("a.csv");
    let import = ["user", "import", "a.csv"];
    failure(&home.run(&import));
    for text in ["", "id,email,password\n"] {
        fs::write(&csv, text).unwrap();
        failure(&home.run(&import));
        let status = stdout(&home.run(&["migrate", "status"]));
        assert!(!status.contains("applied"), "{text:?}: {status}");
    }
    fs::write(&csv, "id,email,password\n1,you@example.com,!\n").unwrap();
    stdout(&home.run(&import));
    assert!(stdout(&home.run(&["user", "list"])).contains(EMAIL));
}

#[test]
fn commands_that_create_the_database_print_its_absolute_path() {
    for args in [&ADD[..], &["user", "import", "accounts.csv"], &["migrate"]] {
        let home = Home::on_sqlite();
        let text = "id,email,password\n1,you@example.com,!\n";
        fs::write(home.path().join("accounts.csv"), text).unwrap();
        let path = fs::canonicalize(home.path())
            .unwrap()
            .join("data/signet.db");
        let output = home.feed(args, PASSWORD);
        assert!(
            created(&output.stderr).contains(path.to_str().unwrap()),
            "{output:?}"
        );
        stdout(&output);
        let folder: Vec<_> = files(&home.path().join("data")).into_keys().collect();
        assert_eq!(folder.len(), 1, "{folder:?}");
        // The second command finds the database.
        let again = home.run(&["migrate"]);
        assert_eq!(created(&again.stderr), "");
    }
    let home = Home::on_sqlite();
    let service = home.serve(&[]);
    let log = &service.started;
    let path = fs::canonicalize(home.path())
        .unwrap()
        .join("data/signet.db");
    assert!(
        created(log.as_bytes()).contains(path.to_str().unwrap()),
        "{log}"
    );
}

#[test]
fn commands_for_accounts_apply_no_migration() {
    let home = with_account();
    stdout(&home.run(&["migrate", "down", "--yes"]));
    let status = stdout(&home.run(&["migrate", "status"]));
    assert!(status.contains("pending"), "{status}");
    fs::write(
        home.path().join("a.csv"),
        "id,email,password\n9,a@example.com,!\n",
    )
    .unwrap();
    let others = [
        &ADD[..],
        &["user", "import", "a.csv"],
        &["user", "import", "a.csv", "--dry-run"],
    ];
    for args in READ.iter().chain(&CHANGE).chain(&others) {
        let (code, said) = failure(&home.feed(args, PASSWORD));
        assert_eq!(code, 1, "{args:?}: {said}");
        assert!(
            said.contains("migrations are pending: m"),
            "{args:?}: {said}"
        );
        assert!(
            said.contains("hint: run `signet migrate`"),
            "{args:?}: {said}"
        );
    }
    assert_eq!(stdout(&home.run(&["migrate", "status"])), status);
}

/// SQLite stores the journal mode in the database file, and the write-ahead log in separate files.
#[test]
fn commands_that_read_change_no_file() {
    for journal in ["delete", "wal"] {
        let home = with_account();
        let database = home.path().join("data/signet.db");
        let set = format!("PRAGMA journal_mode={journal}");
        sqlite(&database, &set);
        let text = "id,email,password\n9,a@example.com,!\n";
        fs::write(home.path().join("a.csv"), text).unwrap();
        let before = files(home.path());
        let others: [&[&str]; 4] = [
            &["doctor"],
            &["doctor", "--json"],
            &["migrate", "status"],
            &["user", "import", "a.csv", "--dry-run"],
        ];
        for args in READ.iter().chain(&others) {
            let output = home.run(args);
            assert!(output.status.success(), "{args:?}: {output:?}");
            assert_eq!(files(home.path()), before, "{args:?} with {journal}");
        }
    }
}

/// The write-ahead log of a running service contains accounts that the database file does not have yet.
#[test]
fn commands_that_read_see_the_changes_of_a_running_service() {
    let home = with_account();
    let service = home.serve(&[]);
    stdout(&home.feed(
        &["user", "create", "b@example.com", "--password-stdin"],
        PASSWORD,
    ));
    let list = stdout(&home.run(&["user", "list"]));
    assert!(list.contains("b@example.com"), "{list}");
    stdout(&home.run(&["doctor"]));
    drop(service);
}

#[test]
fn commands_for_accounts_reject_an_in_memory_database() {
    let home = Home::on_sqlite();
    for url in ["sqlite::memory:", "sqlite:x?mode=memory"] {
        for args in READ.iter().chain(&CHANGE).chain(&[&ADD[..]]) {
            let args = [args, &["--database-url", url][..]].concat();
            let (code, said) = failure(&home.feed(&args, PASSWORD));
            assert!(code == 1 && said.contains("in memory"), "{args:?}: {said}");
        }
    }
}

/// Returns the log line about the new database, or an empty string.
fn created(log: &[u8]) -> String {
    let log = String::from_utf8_lossy(log);
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains(r#""message":"database created""#));
    line.unwrap_or_default().to_owned()
}

fn sqlite(path: &Path, statement: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use sea_orm::ConnectionTrait;
        let url = format!("sqlite:{}", path.display());
        let db = sea_orm::Database::connect(url).await.unwrap();
        db.query_one_raw(sea_orm::Statement::from_string(
            sea_orm::DbBackend::Sqlite,
            statement,
        ))
        .await
        .unwrap();
        db.close().await.unwrap();
    });
}
