//! The command line: accounts, migrations, settings, and what it says when something is wrong.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    process::Stdio,
};

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::{Value, json};

use crate::{
    binary::{Home, failure, stdout},
    world::{OBTAIN, REFRESH},
};

const EMAIL: &str = "you@example.com";

fn with_account() -> Home {
    let home = Home::new();
    let added = home.feed(
        &["user", "add", EMAIL, "--password-stdin"],
        "correct horse\n",
    );
    assert_eq!(stdout(&added), format!("added 1  {EMAIL}\n"));
    let again = home.run(&["user", "show", EMAIL]);
    assert!(
        again.stderr.is_empty(),
        "a command on a current database has nothing to log: {again:?}"
    );
    home
}

#[test]
fn what_is_copied_for_a_backup_is_one_file() {
    let home = Home::on_sqlite();
    let add = ["user", "add", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let files = std::fs::read_dir(home.path().join("data")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["signet.db"]);
}

#[test]
fn help_names_every_command_and_setting() {
    let home = Home::new();
    let help = stdout(&home.run(&["--help"]));
    for word in [
        "serve",
        "migrate",
        "config",
        "doctor",
        "completions",
        "openapi",
        "user",
        "--demo",
        "SIGNET_DATABASE_URL",
        "[default: 7d]",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    for setting in signet::config::settings() {
        let flag = format!("--{} ", setting.flag());
        assert_eq!(help.contains(&flag), !setting.is_secret, "{flag}\n{help}");
    }
    assert_eq!(
        stdout(&home.run(&["--version"])),
        concat!("signet ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn openapi_prints_the_document() {
    let home = Home::new();
    let json = stdout(&home.run(&["openapi"]));
    assert_eq!(json, include_str!("../../openapi/openapi.json"));
    let yaml = stdout(&home.run(&["openapi", "--format", "yaml"]));
    let same: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(same, serde_json::from_str::<Value>(&json).unwrap());
    let page = stdout(&home.run(&["openapi", "--format", "markdown"]));
    assert_eq!(page, include_str!("../../openapi/contract.md"));
    let claims = stdout(&home.run(&["openapi", "--format", "claims"]));
    assert_eq!(claims, include_str!("../../openapi/claims.schema.json"));
    let behind = home.run(&["openapi", "--public-url", "https://host/auth/"]);
    assert!(stdout(&behind).contains("\"url\": \"https://host/auth\""));
    assert!(!home.path().join("data").exists(), "it needs no database");
}

#[test]
fn an_account_lives_from_add_to_delete() {
    let home = with_account();
    let show = |email: &str| stdout(&home.run(&["user", "show", email]));
    assert!(show("YOU@example.com").contains("is_active            true"));

    let feed = home.feed(
        &["user", "passwd", EMAIL, "--password-stdin"],
        "another horse\r\n",
    );
    assert!(stdout(&feed).contains("every earlier token is ended"));
    assert!(!show(EMAIL).contains("tokens_valid_after   0"));
    stdout(&home.run(&["user", "disable", EMAIL]));
    assert!(show(EMAIL).contains("is_active            false"));
    stdout(&home.run(&["user", "enable", EMAIL]));
    stdout(&home.run(&["user", "revoke", EMAIL]));
    stdout(&home.run(&["user", "email", EMAIL, "new@example.com"]));
    assert_eq!(stdout(&home.run(&["user", "list"])), "1  new@example.com\n");

    let list: Value =
        serde_json::from_str(&stdout(&home.run(&["user", "list", "--json"]))).unwrap();
    assert_eq!(
        (list[0]["id"].as_i64(), list[0]["usable_password"].as_bool()),
        (Some(1), Some(true))
    );
    assert!(!list.to_string().contains("argon2"));

    let (code, said) = failure(&home.run(&["user", "delete", "new@example.com"]));
    assert_eq!(code, 1);
    assert!(said.contains("--yes"), "{said}");
    stdout(&home.run(&["user", "delete", "new@example.com", "--yes"]));
    assert_eq!(stdout(&home.run(&["user", "list", "--json"])), "[]\n");
    let added = home.feed(
        &["user", "add", EMAIL, "--password-stdin", "--force"],
        "x\n",
    );
    assert_eq!(
        stdout(&added),
        format!("added 2  {EMAIL}\n"),
        "ids are never used again"
    );
}

#[test]
fn what_was_added_by_hand_logs_in() {
    let home = with_account();
    let service = home.serve(&[]);
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    let (status, body) = service.post(OBTAIN, &credentials);
    assert_eq!(status, 200, "{body}");
    let (status, body) = service.post(REFRESH, &json!({ "token": body["token"] }));
    assert_eq!(status, 200, "{body}");

    stdout(&home.run(&["user", "revoke", EMAIL]));
    let (status, body) = service.post(REFRESH, &json!({ "token": body["token"] }));
    assert_eq!(
        (status, body),
        (
            400,
            json!({ "non_field_errors": ["Error decoding signature."] })
        )
    );
    assert_eq!(service.post(OBTAIN, &credentials).0, 200);
}

#[test]
fn a_wrong_account_command_says_what_and_changes_nothing() {
    let home = with_account();
    let add = ["user", "add", "other@example.com", "--password-stdin"];
    for (args, input, code, reason) in [
        (
            &["user", "add", "YOU@example.com", "--password-stdin"][..],
            "x\n",
            1,
            "exists",
        ),
        (
            &["user", "add", "nobody", "--password-stdin"],
            "x\n",
            2,
            "not an e-mail address",
        ),
        (
            &[
                "user",
                "add",
                "b@example.com",
                "--id",
                "1",
                "--password-stdin",
            ],
            "correct horse\n",
            1,
            "never used again",
        ),
        (
            &[
                "user",
                "add",
                "b@example.com",
                "--id",
                "0",
                "--password-stdin",
            ],
            "x\n",
            2,
            "0 is not in",
        ),
        (
            &[
                "user",
                "add",
                "b@example.com",
                "--id",
                "9223372036854775808",
            ],
            "",
            2,
            "--id",
        ),
        (&add, "", 1, "no password on standard input"),
        (&add, "\n", 1, "no password on standard input"),
        (&add, " \t\n", 1, "never log in"),
        (&add, "a\0b\n", 1, "never log in"),
        (
            &["user", "passwd", "nobody@example.com", "--password-stdin"],
            "x\n",
            1,
            "no account has",
        ),
        (
            &["user", "email", EMAIL, "nobody"],
            "",
            2,
            "not an e-mail address",
        ),
        (
            &["user", "revoke", "nobody@example.com"],
            "",
            1,
            "signet user list",
        ),
        (&["user", "add"], "", 2, "EMAIL"),
        (&["usr"], "", 2, "user"),
        (&[], "", 2, "serve"),
    ] {
        let (got, said) = failure(&home.feed(args, input));
        assert_eq!(got, code, "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1  {EMAIL}\n")
    );
}

/// Characters that a terminal acts on, or that hide other text.
const HARMFUL: &str =
    "\u{7}\t\n\r\u{1b}[31m\u{7f}\u{85}\u{9b}2J\u{ad}\u{200b}\u{2028}\u{202e}\u{2066}\u{feff}";

fn assert_harmless(what: &str, shown: &str) {
    let harmful = |c: &char| HARMFUL.contains(*c) && !c.is_ascii_graphic() && *c != '\n';
    let found: Vec<_> = shown.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{what} prints {found:?}: {shown:?}");
    // A line feed would forge a line.
    assert!(!shown.contains("\n\r"), "{what}: {shown:?}");
    assert!(!shown.contains("\n\u{fffd}"), "{what}: {shown:?}");
}

/// An import accepts every email that Django had.
#[test]
fn stored_and_given_text_is_printed_harmless() {
    let home = Home::new();
    let email = |name: &str| format!("{name}{HARMFUL}@example.com");
    let user = |id: Value, email: &str, model: &str| {
        let fields =
            json!({ "email": email, "password": "!", "is_active": HARMFUL.replace('\n', "") });
        let mut user = json!({ "model": model, "pk": id, "fields": fields });
        if model == "auth.user" {
            user["fields"]["is_active"] = true.into();
        }
        user
    };
    let import = |users: &[Value], flags: &[&str]| {
        std::fs::write(home.path().join("dump.json"), json!(users).to_string()).unwrap();
        home.run(&[&["user", "import", "dump.json"], flags].concat())
    };
    let good = |id: i64, name: &str| user(id.into(), &email(name), "auth.user");
    let output = import(&[good(1, "one"), good(2, "two")], &[]);
    assert!(stdout(&output).starts_with("2 added"), "{output:?}");

    let (one, two) = (email("one"), email("two"));
    let clash = [
        good(3, "one"),
        good(1, "other"),
        user(HARMFUL.into(), &email("three"), "auth.user"),
        user(4.into(), &email("four"), "AUTH.USER"),
    ];
    let models = [
        good(5, "five"),
        user(6.into(), &email("six"), &format!("app.{HARMFUL}")),
    ];
    let sqlite = format!("sqlite:{HARMFUL}");
    let run = |args: &[&str]| home.run(args);
    let feed = |args: &[&str]| home.feed(args, "correct horse\n");
    for (what, output) in [
        ("import", import(&clash, &[])),
        ("import --json", import(&clash, &["--json"])),
        ("import of two models", import(&models, &[])),
        ("import of a model", import(&models, &["--model", HARMFUL])),
        ("import of a file", run(&["user", "import", HARMFUL])),
        ("list", run(&["user", "list"])),
        ("list --json", run(&["user", "list", "--json"])),
        ("show", run(&["user", "show", &one])),
        ("unknown", run(&["user", "show", &email("none")])),
        ("add", feed(&["user", "add", &one, "--password-stdin"])),
        ("add invalid", run(&["user", "add", HARMFUL])),
        ("add --id", run(&["user", "add", "a@b.co", "--id", HARMFUL])),
        ("email taken", run(&["user", "email", &one, &two])),
        ("email invalid", run(&["user", "email", &one, HARMFUL])),
        (
            "passwd",
            feed(&["user", "passwd", &one, "--password-stdin", "--force"]),
        ),
        ("disable", run(&["user", "disable", &one])),
        ("enable", run(&["user", "enable", &one])),
        ("revoke", run(&["user", "revoke", &one])),
        ("delete", run(&["user", "delete", &one])),
        ("delete --yes", run(&["user", "delete", &one, "--yes"])),
        ("a flag", run(&["user", &format!("--{HARMFUL}")])),
        ("a setting", run(&["user", "list", "--listen", HARMFUL])),
        (
            "a database",
            run(&["user", "list", "--database-url", HARMFUL]),
        ),
        (
            "a table",
            run(&[
                "user",
                "import",
                "--from-database",
                "sqlite:data/signet.db",
                "--table",
                HARMFUL,
            ]),
        ),
        (
            "config show",
            run(&["config", "show", "--database-url", &sqlite]),
        ),
        (
            "config show --json",
            run(&["config", "show", "--json", "--database-url", &sqlite]),
        ),
        ("doctor", run(&["doctor", "--database-url", &sqlite])),
        (
            "doctor --json",
            run(&["doctor", "--json", "--database-url", &sqlite]),
        ),
        (
            "verify-compat",
            run(&["verify-compat", "--old", HARMFUL, "--new", HARMFUL]),
        ),
    ] {
        assert_harmless(what, std::str::from_utf8(&output.stdout).unwrap());
        assert_harmless(what, std::str::from_utf8(&output.stderr).unwrap());
        assert!(output.stdout.len() + output.stderr.len() > 0, "{what}");
    }
    // JSON keeps every character.
    let list = stdout(&home.run(&["user", "list", "--json"]));
    assert_harmless("list --json", &list);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["email"], two);
    // Every account and every problem is one line.
    assert_eq!(stdout(&home.run(&["user", "list"])).lines().count(), 1);
}

#[tokio::test]
async fn name_of_unknown_migration_is_printed_harmless() {
    let home = with_account();
    let db = Database::connect(home.database()).await.unwrap();
    let insert = format!("INSERT INTO seaql_migrations VALUES ('m9{HARMFUL}', 0)");
    db.execute_unprepared(&insert).await.unwrap();
    for args in [&["migrate", "status"][..], &["user", "list"], &["doctor"]] {
        let output = home.run(args);
        let shown = [&*output.stdout, &*output.stderr].concat();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("m9\u{fffd}"), "{args:?}: {shown}");
        assert_harmless(args[0], &shown);
    }
}

/// Imports accounts with these IDs.
fn import_ids(home: &Home, ids: impl Iterator<Item = i64>) {
    let user = |id: i64| {
        let fields = json!({ "email": format!("user{id}@example.com"), "password": "!" });
        json!({ "model": "auth.user", "pk": id, "fields": fields })
    };
    let dump: Vec<_> = ids.map(user).collect();
    std::fs::write(home.path().join("dump.json"), json!(dump).to_string()).unwrap();
    stdout(&home.run(&["user", "import", "dump.json"]));
}

#[test]
fn list_shows_the_accounts_after_an_id_up_to_a_limit() {
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    assert_eq!(stdout(&home.run(&["user", "list"])), "");
    assert_eq!(stdout(&home.run(&["user", "list", "--json"])), "[]\n");
    // More accounts than the command reads at once, with gaps.
    let ids: Vec<i64> = (1..=1201).map(|at| at * 3).collect();
    import_ids(&home, ids.iter().copied());
    for (flags, expected) in [
        (&[][..], &ids[..]),
        (&["--limit", "1"], &ids[..1]),
        (&["--limit", "500"], &ids[..500]),
        (&["--limit", "501"], &ids[..501]),
        (&["--limit", "18446744073709551615"], &ids),
        (&["--after", "0"], &ids),
        (&["--after", "3"], &ids[1..]),
        (&["--after", "4"], &ids[1..]),
        (&["--after", "3603"], &[]),
        (&["--after", "9223372036854775807"], &[]),
        (&["--after", "5", "--limit", "2"], &ids[1..3]),
        (&["--after", "1500", "--limit", "700"], &ids[500..1200]),
    ] {
        let lines = stdout(&home.run(&[&["user", "list"], flags].concat()));
        let all: Vec<_> = expected
            .iter()
            .map(|id| format!("{id}  user{id}@example.com  (no usable password)\n"))
            .collect();
        assert_eq!(lines, all.concat(), "{flags:?}");

        let json = stdout(&home.run(&[&["user", "list", "--json"], flags].concat()));
        let list: Value = serde_json::from_str(&json).unwrap();
        // One account at a time, it looks as if it were written at once.
        assert_eq!(json, format!("{list:#}\n"), "{flags:?}");
        let listed = list.as_array().unwrap().iter();
        let listed: Vec<_> = listed
            .map(|account| account["id"].as_i64().unwrap())
            .collect();
        assert_eq!(listed, expected, "{flags:?}");
    }
    for flag in ["--limit=0", "--limit=x", "--after=-1"] {
        let (code, said) = failure(&home.run(&["user", "list", flag]));
        assert_eq!((code, said.contains(&flag[..7])), (2, true), "{said}");
    }
}

/// The most memory that a list has taken, in KiB, when its reader has read one line.
fn memory_of_list(home: &Home, flags: &[&str]) -> u64 {
    let mut child = home
        .command(&[&["user", "list"], flags].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let peak = line.unwrap().split_whitespace().nth(1).unwrap();
    // A reader that has seen enough ends it, and that is no failure.
    drop(lines);
    assert!(child.wait().unwrap().success());
    peak.parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_list() {
    let home = Home::new();
    import_ids(&home, 1..=1000);
    let [text, json] = [&[][..], &["--json"]].map(|flags| memory_of_list(&home, flags));
    import_ids(&home, 1001..=10_000);
    for (flags, few) in [(&[][..], text), (&["--json"], json)] {
        let many = memory_of_list(&home, flags);
        assert!(many < few + 4000, "{flags:?}: {few} KiB, then {many} KiB");
    }
}

/// A hash that cannot be read at all does not matter to the list.
#[tokio::test]
async fn list_selects_no_hash() {
    let home = Home::on_sqlite();
    let add = ["user", "add", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = Database::connect(home.database()).await.unwrap();
    let spoil = "UPDATE users SET password = x'ff', email_key = x'ff', imported_password = x'ff'";
    db.execute_unprepared(spoil).await.unwrap();
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1  {EMAIL}\n")
    );
    let list = stdout(&home.run(&["user", "list", "--json"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["usable_password"], true);
}

#[test]
fn largest_given_id_leaves_room_for_automatic_ids() {
    const LARGEST: i64 = 9_223_372_035_854_775_807;
    let home = Home::new();
    let add = |email: &str, id: i64| {
        let id = id.to_string();
        let args = ["user", "add", email, "--password-stdin", "--id", &id];
        home.feed(&args, "correct horse\n")
    };
    for id in [i64::MAX, i64::MAX - 1, LARGEST + 1] {
        let (code, said) = failure(&add("a@example.com", id));
        assert_eq!(code, 2, "{said}");
        let reason = format!("{id} is not in 1..={LARGEST}: larger IDs are reserved");
        assert!(said.contains(&reason), "{said}");
    }
    stdout(&add("a@example.com", LARGEST));
    for next in 1..3 {
        let email = format!("automatic{next}@example.com");
        let added = home.feed(
            &["user", "add", &email, "--password-stdin"],
            "correct horse\n",
        );
        assert_eq!(
            stdout(&added),
            format!("added {}  {email}\n", LARGEST + next)
        );
    }
}

/// Whoever comes first makes the database; nobody fails for coming second.
#[test]
fn first_starts_at_once_all_succeed() {
    for _ in 0..3 {
        let home = Home::new();
        let commands: Vec<_> = (0..6)
            .map(|number| {
                let email = format!("user{number}@example.com");
                let args = ["user", "add", &email, "--password-stdin"];
                let mut child = home
                    .command(&args)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                child
                    .stdin
                    .take()
                    .unwrap()
                    .write_all(b"correct horse\n")
                    .unwrap();
                child
            })
            .collect();
        for command in commands {
            stdout(&command.wait_with_output().unwrap());
        }
        assert_eq!(stdout(&home.run(&["user", "list"])).lines().count(), 6);
    }
}

/// A start that is killed in the middle of a migration leaves all of it or nothing.
#[test]
fn every_migration_is_a_transaction() {
    use migration::{Migrator, MigratorTrait};
    let migrations = Migrator::migrations();
    assert!(
        migrations
            .iter()
            .all(|migration| migration.use_transaction() == Some(true))
    );
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure_and_a_closed_one_is_not() {
    let home = with_account();
    for args in [&["user", "list"][..], &["migrate", "status"], &["openapi"]] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = home.command(args).stdout(full).output().unwrap();
        let (code, said) = failure(&output);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("cannot print"), "{said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.command(args).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn migrations_go_up_and_down() {
    let home = Home::new();
    let run = |args: &[&str]| stdout(&home.run(&[&["migrate"], args].concat()));
    assert!(run(&["status"]).starts_with("pending  m2"));
    assert_eq!(run(&["down"]), "no migration is applied\n");
    let (code, said) = failure(&home.run(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, 1);
    assert!(said.contains("signet migrate"), "{said}");
    assert!(!home.path().join("data").exists(), "looking makes nothing");

    assert!(run(&[]).starts_with("applied m2"));
    assert_eq!(run(&["up"]), "the database is up to date\n");
    assert!(run(&["status"]).starts_with("applied  m2"));
    let service = home.serve(&["--no-migrate"]);
    drop(service);
    while run(&["down"]).starts_with("took back m2") {}
    assert_eq!(run(&["down"]), "no migration is applied\n");
    assert!(!run(&["status"]).contains("applied"));
    assert!(run(&["up"]).starts_with("applied m2"));

    let added = home.feed(
        &["user", "add", EMAIL, "--password-stdin"],
        "correct horse\n",
    );
    assert!(added.status.success());
    let (code, said) = failure(&home.run(&["migrate", "down"]));
    assert_eq!(code, 1);
    let lost =
        "there are 1 accounts, and taking back m20261128_000004_expand_imported_fields loses";
    assert!(said.contains(lost), "{said}");
    // The accounts are asked about at every step back.
    assert!(run(&["down", "--yes"]).starts_with("took back m2"));
    assert_eq!(failure(&home.run(&["migrate", "down"])).0, 1);
    assert!(run(&["up"]).starts_with("applied m2"));
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1  {EMAIL}\n")
    );
}

#[test]
fn a_bad_setting_stops_the_start_and_is_named() {
    let home = Home::on_sqlite();
    let short = home.path().join("short");
    std::fs::write(&short, "too short\n").unwrap();
    let short = short.to_str().unwrap();
    for (name, value, reason) in [
        ("SIGNET_LISTEN", "8000", "such as 127.0.0.1:8000"),
        ("SIGNET_LISTEN", "192.0.2.1:1", "cannot listen on"),
        (
            "SIGNET_DATABASE_URL",
            "mysql://root:hunter2@db/x",
            "sqlite:data/signet.db",
        ),
        ("SIGNET_DATABASE_URL", "sqlite:/dev/null/x.db", "/dev/null"),
        (
            "SIGNET_DATABASE_URL",
            "postgres://signet:hunter2@127.0.0.1:1/signet",
            "the same one for every replica",
        ),
        ("SIGNET_DATABASE_CONNECTIONS", "0", "nonzero"),
        ("SIGNET_JWT_SECRET", "hunter2", "at least 32"),
        ("SIGNET_JWT_SECRET", "", "empty"),
        ("SIGNET_JWT_SECRET_FILE", "missing", "missing"),
        ("SIGNET_JWT_SECRET_FILE", short, "9 bytes"),
        ("SIGNET_PUBLIC_URL", "host/auth", "https://host/auth"),
        ("SIGNET_PUBLIC_URL", "ftp://host", "http or https"),
        (
            "SIGNET_PUBLIC_URL",
            "https://host/?a=b",
            "more than a host and a path",
        ),
        ("SIGNET_HEADER_BYTES", "1", "less than 2048 bytes"),
        ("SIGNET_JWT_EXPIRES_IN", "0", "less than 1s"),
        ("SIGNET_JWT_REFRESH_WINDOW", "week", "such as 7d"),
        ("SIGNET_ARGON2_MEMORY_KIB", "7", "at least 8 KiB a lane"),
        ("SIGNET_LOG", "signet=loud", "such as info"),
        ("SIGNET_LOG", "inof", "write a level"),
        ("SIGNET_JWT_SECRETS", "x", "did you mean SIGNET_JWT_SECRET?"),
    ] {
        let output = home
            .command(&["serve"])
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (code, said) = failure(&output);
        assert_eq!(code, 1, "{name}={value}: {said}");
        assert!(said.contains(reason), "{name}={value}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
        let left = home.path().join("data");
        assert!(!left.exists(), "{name}={value} left something behind");
    }
    let secret = OsStr::from_bytes(&[0xff; 40]);
    let output = home
        .command(&["serve"])
        .env("SIGNET_JWT_SECRET", secret)
        .output()
        .unwrap();
    assert_eq!(
        failure(&output),
        (1, "error: SIGNET_JWT_SECRET is not UTF-8\n".to_owned())
    );

    // Where PostgreSQL is, its URL tells, and not its password.
    let output = home
        .command(&["serve", "--database-wait", "1"])
        .env(
            "SIGNET_DATABASE_URL",
            "postgres://signet:hunter2@127.0.0.1:1/signet",
        )
        .env("SIGNET_JWT_SECRET", crate::world::SECRET)
        .output();
    let (code, said) = failure(&output.unwrap());
    assert_eq!(code, 1);
    assert!(
        said.contains("cannot open PostgreSQL at 127.0.0.1") && said.contains("Is it there"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");

    let (code, said) = failure(&home.run(&["serve", "--listen", "nowhere"]));
    assert_eq!(code, 2);
    assert!(said.contains("--listen"), "{said}");
    let (code, said) = failure(&home.run(&["serve", "--demo", "--listen", "0.0.0.0:0"]));
    assert_eq!(code, 2);
    assert!(said.contains("loopback"), "{said}");
}
