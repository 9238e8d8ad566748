//! The command line: accounts, migrations, settings, and error messages.

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
        &["user", "create", EMAIL, "--password-stdin"],
        "correct horse\n",
    );
    assert_eq!(stdout(&added), format!("created account 1 ({EMAIL})\n"));
    let again = home.run(&["user", "show", EMAIL]);
    assert!(
        again.stderr.is_empty(),
        "a command logged a line on an up-to-date database: {again:?}"
    );
    home
}

#[test]
fn sqlite_database_to_back_up_is_one_file() {
    let home = Home::on_sqlite();
    let add = ["user", "create", EMAIL, "--password-stdin"];
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
        "SIGNET_DATABASE_URL",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    let serve = stdout(&home.run(&["serve", "--help"]));
    let check = stdout(&home.run(&["config", "check", "--help"]));
    let status = stdout(&home.run(&["migrate", "status", "--help"]));
    for setting in signet::config::settings() {
        let flag = format!("--{} ", setting.flag());
        assert_eq!(serve.contains(&flag), !setting.is_secret, "{flag}\n{serve}");
        assert_eq!(check.contains(&flag), !setting.is_secret, "{flag}\n{check}");
        let is_global = ["database_url", "log"].contains(&setting.name.as_str());
        assert_eq!(status.contains(&flag), is_global, "{flag}\n{status}");
    }
    assert_eq!(
        stdout(&home.run(&["--version"])),
        concat!("signet ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn old_command_names_are_hidden_aliases() {
    let home = Home::new();
    let user = stdout(&home.run(&["user", "--help"]));
    for (old, new) in [
        ("add", "create"),
        ("passwd", "set-password"),
        ("email", "set-email"),
        ("revoke", "revoke-tokens"),
    ] {
        let help = |name| stdout(&home.run(&["user", name, "--help"]));
        assert_eq!(help(old), help(new));
        assert!(!user.contains(&format!("  {old} ")), "{user}");
    }
    assert!(stdout(&home.run(&["manual", "--help"])).contains("signet man "));
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
    let behind = home
        .command(&["openapi"])
        .env("SIGNET_PUBLIC_URL", "https://host/auth/")
        .output()
        .unwrap();
    assert!(stdout(&behind).contains("\"url\": \"https://host/auth\""));
    let es256 = home
        .command(&["openapi"])
        .env("SIGNET_JWT_ALGORITHM", "ES256")
        .output()
        .unwrap();
    assert!(stdout(&es256).contains("Tokens are signed with ES256"));
    assert!(
        !home.path().join("data").exists(),
        "`openapi` created a database"
    );
}

#[test]
fn user_commands_add_change_and_delete_an_account() {
    let home = with_account();
    let show = |email: &str| stdout(&home.run(&["user", "show", email]));
    assert!(show("YOU@example.com").contains("is_active\ttrue"));

    let feed = home.feed(
        &["user", "set-password", EMAIL, "--password-stdin"],
        "another horse\r\n",
    );
    assert!(stdout(&feed).contains("set the password of account 1"));
    assert!(!show(EMAIL).contains("tokens_valid_after\t0"));
    stdout(&home.run(&["user", "disable", EMAIL]));
    assert!(show(EMAIL).contains("is_active\tfalse"));
    stdout(&home.run(&["user", "enable", EMAIL]));
    stdout(&home.run(&["user", "revoke-tokens", EMAIL]));
    stdout(&home.run(&["user", "set-email", EMAIL, "new@example.com"]));
    assert!(stdout(&home.run(&["user", "list"])).starts_with("1\tnew@example.com\tactive\t"));

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
        &["user", "create", EMAIL, "--password-stdin", "--force"],
        "x\n",
    );
    assert_eq!(
        stdout(&added),
        format!("created account 2 ({EMAIL})\n"),
        "the ID of a deleted account was reused"
    );
}

#[test]
fn added_account_can_log_in_and_its_tokens_can_be_revoked() {
    let home = with_account();
    let service = home.serve(&[]);
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    let (status, body) = service.post(OBTAIN, &credentials);
    assert_eq!(status, 200, "{body}");
    let (status, body) = service.post(REFRESH, &json!({ "token": body["token"] }));
    assert_eq!(status, 200, "{body}");

    stdout(&home.run(&["user", "revoke-tokens", EMAIL]));
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
fn invalid_user_command_reports_the_reason_without_changes() {
    let home = with_account();
    let add = ["user", "create", "other@example.com", "--password-stdin"];
    for (args, input, code, reason) in [
        (
            &["user", "create", "YOU@example.com", "--password-stdin"][..],
            "x\n",
            1,
            "exists",
        ),
        (
            &["user", "create", "nobody", "--password-stdin"],
            "x\n",
            2,
            "not an email address",
        ),
        (
            &[
                "user",
                "create",
                "b@example.com",
                "--id",
                "1",
                "--password-stdin",
            ],
            "correct horse\n",
            1,
            "never reused",
        ),
        (
            &[
                "user",
                "create",
                "b@example.com",
                "--id",
                "0",
                "--password-stdin",
            ],
            "x\n",
            2,
            "not a whole number from 1 to",
        ),
        (
            &[
                "user",
                "create",
                "b@example.com",
                "--id",
                "9223372036854775808",
            ],
            "",
            2,
            "--id",
        ),
        (&add, "", 1, "standard input contains no password"),
        (&add, "\n", 1, "standard input contains no password"),
        (&add, " \t\n", 1, "never log in"),
        (&add, "a\0b\n", 1, "never log in"),
        (
            &[
                "user",
                "set-password",
                "nobody@example.com",
                "--password-stdin",
            ],
            "x\n",
            1,
            "no account has",
        ),
        (
            &["user", "set-email", EMAIL, "nobody"],
            "",
            2,
            "not an email address",
        ),
        (
            &["user", "revoke-tokens", "nobody@example.com"],
            "",
            1,
            "signet user list",
        ),
        (&["user", "create"], "", 2, "EMAIL"),
        (&["usr"], "", 2, "user"),
        (&[], "", 2, "serve"),
    ] {
        let (got, said) = failure(&home.feed(args, input));
        assert_eq!(got, code, "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1\t{EMAIL}\tactive\t\n")
    );
}

/// Control characters, and invisible characters that hide or reorder other text.
const HARMFUL: &str =
    "\u{7}\t\n\r\u{1b}[31m\u{7f}\u{85}\u{9b}2J\u{ad}\u{200b}\u{2028}\u{202e}\u{2066}\u{feff}";

fn assert_harmless(what: &str, shown: &str) {
    // Tabs separate columns.
    let harmful = |c: &char| HARMFUL.contains(*c) && !c.is_ascii_graphic() && !"\n\t".contains(*c);
    let found: Vec<_> = shown.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{what} prints {found:?}: {shown:?}");
    // A line feed in a value would start a forged line.
    assert!(!shown.contains("\n\r"), "{what}: {shown:?}");
    assert!(!shown.contains("\n\u{fffd}"), "{what}: {shown:?}");
}

/// An import accepts every email that Django accepted, also an email with control characters.
#[test]
fn control_characters_in_stored_and_given_text_are_not_printed() {
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
        ("add", feed(&["user", "create", &one, "--password-stdin"])),
        ("add invalid", run(&["user", "create", HARMFUL])),
        ("--id", run(&["user", "create", "a@b.co", "--id", HARMFUL])),
        ("email taken", run(&["user", "set-email", &one, &two])),
        ("email invalid", run(&["user", "set-email", &one, HARMFUL])),
        (
            "passwd",
            feed(&["user", "set-password", &one, "--password-stdin", "--force"]),
        ),
        ("disable", run(&["user", "disable", &one])),
        ("enable", run(&["user", "enable", &one])),
        ("revoke", run(&["user", "revoke-tokens", &one])),
        ("delete", run(&["user", "delete", &one])),
        ("delete --yes", run(&["user", "delete", &one, "--yes"])),
        ("a flag", run(&["user", &format!("--{HARMFUL}")])),
        ("a setting", run(&["config", "show", "--listen", HARMFUL])),
        ("a database", run(&["migrate", "--database-url", HARMFUL])),
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
    // JSON escapes the characters, so the value stays complete.
    let list = stdout(&home.run(&["user", "list", "--json"]));
    assert_harmless("list --json", &list);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["email"], two);
    // A line feed in an email does not start a new line.
    let list = stdout(&home.run(&["user", "list"]));
    assert_eq!((list.lines().count(), list.matches('\t').count()), (1, 3));
}

#[tokio::test]
async fn control_characters_in_a_migration_name_are_not_printed() {
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
    // More accounts than the command reads per query, and IDs with gaps.
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
            .map(|id| format!("{id}\tuser{id}@example.com\tno password\t\n"))
            .collect();
        assert_eq!(lines, all.concat(), "{flags:?}");

        let json = stdout(&home.run(&[&["user", "list", "--json"], flags].concat()));
        let list: Value = serde_json::from_str(&json).unwrap();
        // The command prints one account at a time, but the text equals a pretty-printed array.
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

/// Returns the peak memory of `user list` in KiB, after its reader has read one line.
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
    // If the reader closes the pipe early, the command stops and succeeds.
    drop(lines);
    assert!(child.wait().unwrap().success());
    peak.parse().unwrap()
}

#[test]
fn memory_of_user_list_does_not_grow_with_the_accounts() {
    let home = Home::new();
    import_ids(&home, 1..=1000);
    let [text, json] = [&[][..], &["--json"]].map(|flags| memory_of_list(&home, flags));
    import_ids(&home, 1001..=10_000);
    for (flags, few) in [(&[][..], text), (&["--json"], json)] {
        let many = memory_of_list(&home, flags);
        assert!(many < few + 4000, "{flags:?}: {few} KiB, then {many} KiB");
    }
}

/// The unused columns contain invalid UTF-8. A query that selects them fails.
#[tokio::test]
async fn user_list_does_not_select_the_hash() {
    let home = Home::on_sqlite();
    let add = ["user", "create", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let db = Database::connect(home.database()).await.unwrap();
    let spoil = "UPDATE users SET password = x'ff', email_key = x'ff', imported_password = x'ff'";
    db.execute_unprepared(spoil).await.unwrap();
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1\t{EMAIL}\tactive\t\n")
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
        let args = ["user", "create", email, "--password-stdin", "--id", &id];
        home.feed(&args, "correct horse\n")
    };
    for id in [i64::MAX, i64::MAX - 1, LARGEST + 1] {
        let (code, said) = failure(&add("a@example.com", id));
        assert_eq!(code, 2, "{said}");
        let reason = format!("not a whole number from 1 to {LARGEST}: larger IDs are reserved");
        assert!(said.contains(&reason), "{said}");
    }
    stdout(&add("a@example.com", LARGEST));
    for next in 1..3 {
        let email = format!("automatic{next}@example.com");
        let added = home.feed(
            &["user", "create", &email, "--password-stdin"],
            "correct horse\n",
        );
        assert_eq!(
            stdout(&added),
            format!("created account {} ({email})\n", LARGEST + next)
        );
    }
}

/// One command creates the database, and the other commands use it.
#[test]
fn concurrent_first_commands_all_succeed() {
    for _ in 0..3 {
        let home = Home::new();
        let commands: Vec<_> = (0..6)
            .map(|number| {
                let email = format!("user{number}@example.com");
                let args = ["user", "create", &email, "--password-stdin"];
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

/// If a process is killed during a migration, the database rolls the migration back.
#[test]
fn every_migration_uses_a_transaction() {
    use migration::{Migrator, MigratorTrait};
    let migrations = Migrator::migrations();
    assert!(
        migrations
            .iter()
            .all(|migration| migration.use_transaction() == Some(true))
    );
}

#[test]
fn full_output_is_a_failure_but_a_closed_pipe_is_not() {
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
fn migrations_can_be_applied_and_reverted() {
    let home = Home::new();
    let run = |args: &[&str]| stdout(&home.run(&[&["migrate"], args].concat()));
    assert!(run(&["status"]).starts_with("pending\tm2"));
    assert_eq!(run(&["down"]), "no migration is applied\n");
    let (code, said) = failure(&home.run(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, 1);
    assert!(said.contains("signet migrate"), "{said}");
    assert!(
        !home.path().join("data").exists(),
        "a failed command created a database"
    );

    assert!(run(&[]).starts_with("applied m2"));
    assert_eq!(run(&["up"]), "the database is up to date\n");
    assert!(run(&["status"]).starts_with("applied\tm2"));
    let service = home.serve(&["--no-migrate"]);
    drop(service);
    while run(&["down"]).starts_with("reverted m2") {}
    assert_eq!(run(&["down"]), "no migration is applied\n");
    assert!(!run(&["status"]).contains("applied"));
    assert!(run(&["up"]).starts_with("applied m2"));

    let added = home.feed(
        &["user", "create", EMAIL, "--password-stdin"],
        "correct horse\n",
    );
    assert!(added.status.success());
    let (code, said) = failure(&home.run(&["migrate", "down"]));
    assert_eq!(code, 1);
    let lost = "the database contains 1 account: reverting m20261129_000007_expand_served_keys deletes the data";
    assert!(said.contains(lost), "{said}");
    // Each step back needs `--yes` while there are accounts.
    assert!(run(&["down", "--yes"]).starts_with("reverted m2"));
    assert_eq!(failure(&home.run(&["migrate", "down"])).0, 1);
    assert!(run(&["up"]).starts_with("applied m2"));
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        format!("1\t{EMAIL}\tactive\t\n")
    );
}

#[test]
fn start_fails_on_an_invalid_setting_and_names_it() {
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
            "the same secret for every replica",
        ),
        (
            "SIGNET_DATABASE_CONNECTIONS",
            "0",
            "the number is too small",
        ),
        ("SIGNET_JWT_SECRET", "hunter2", "at least 32"),
        ("SIGNET_JWT_SECRET", "", "empty"),
        ("SIGNET_JWT_SECRET_FILE", "missing", "missing"),
        ("SIGNET_JWT_SECRET_FILE", short, "9 bytes"),
        ("SIGNET_PUBLIC_URL", "host/auth", "https://host/auth"),
        ("SIGNET_PUBLIC_URL", "ftp://host", "http or https"),
        (
            "SIGNET_PUBLIC_URL",
            "https://host/?a=b",
            "contains a query or a fragment",
        ),
        ("SIGNET_HEADER_BYTES", "1", "less than 2048 bytes"),
        ("SIGNET_JWT_EXPIRES_IN", "0", "less than 1s"),
        ("SIGNET_JWT_REFRESH_WINDOW", "week", "not a duration"),
        (
            "SIGNET_ARGON2_MEMORY_KIB",
            "7",
            "at least 8 KiB of memory for each lane",
        ),
        ("SIGNET_LOG", "signet=loud", "not a valid filter"),
        ("SIGNET_LOG", "inof", "not a level"),
        ("SIGNET_JWT_SECRETS", "x", "did you mean SIGNET_JWT_SECRET?"),
    ] {
        let output = home
            .command(&["serve"])
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (code, said) = failure(&output);
        // These values are valid, but this machine cannot use them.
        let is_valid = ["192.0.2.1:1", "sqlite:/dev/null/x.db"].contains(&value);
        assert_eq!(code, if is_valid { 1 } else { 2 }, "{name}={value}: {said}");
        assert!(said.contains(reason), "{name}={value}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
        let left = home.path().join("data");
        assert!(
            !left.exists(),
            "{name}={value}: the failed start created a folder"
        );
    }
    let secret = OsStr::from_bytes(&[0xff; 40]);
    let output = home
        .command(&["serve"])
        .env("SIGNET_JWT_SECRET", secret)
        .output()
        .unwrap();
    assert_eq!(
        failure(&output),
        (
            2,
            "error: SIGNET_JWT_SECRET: the value is not UTF-8\n".to_owned()
        )
    );

    // The message has the address of PostgreSQL, but not the password.
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
        said.contains("cannot open PostgreSQL at 127.0.0.1")
            && said.contains("check that the database server is running"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");

    let (code, said) = failure(&home.run(&["serve", "--listen", "nowhere"]));
    assert_eq!(code, 2);
    assert!(said.contains("--listen"), "{said}");
}
