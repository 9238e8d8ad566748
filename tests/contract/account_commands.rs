//! Account commands find an account by email or ID. Setting an unchanged value revokes no token.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use crate::{
    binary::{Home, failure, stdout},
    world::{OBTAIN, REFRESH},
};

const EMAIL: &str = "you@example.com";

fn with_account() -> Home {
    let home = Home::new();
    let add = ["user", "create", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    home
}

/// Imports accounts with these IDs and emails from a CSV file.
fn import(home: &Home, accounts: &[(i64, &str)]) {
    let mut csv = "id,email,password\n".to_owned();
    for (id, email) in accounts {
        writeln!(csv, "{id},\"{email}\",!").unwrap();
    }
    fs::write(home.path().join("accounts.csv"), csv).unwrap();
    stdout(&home.run(&["user", "import", "accounts.csv"]));
}

fn list(home: &Home) -> Vec<Value> {
    let list = stdout(&home.run(&["user", "list", "--json"]));
    serde_json::from_str(&list).unwrap()
}

#[test]
fn setting_the_same_email_revokes_no_token() {
    let home = with_account();
    let service = home.serve(&[]);
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    let token = service.post(OBTAIN, &credentials).1["token"].clone();
    for (new, args) in [
        (EMAIL, [EMAIL].as_slice()),
        (" you@example.com\n", &["--id", "1"]),
    ] {
        let command = [&["user", "set-email"], args, &[new]].concat();
        let output = home.run(&command);
        let said = stdout(&output);
        assert!(said.starts_with("unchanged: account 1 (you@"), "{said}");
        assert!(output.stderr.is_empty(), "no audit event: {output:?}");
    }
    let (status, body) = service.post(REFRESH, &json!({ "token": token }));
    assert_eq!(status, 200, "{body}");

    // Tokens contain the email as stored, so another spelling is a change.
    let said = stdout(&home.run(&["user", "set-email", EMAIL, "You@example.com"]));
    assert_eq!(
        said,
        "set the email of account 1 (You@example.com), and revoked its tokens\n"
    );
    assert_eq!(service.post(REFRESH, &json!({ "token": token })).0, 400);
}

#[test]
fn setting_the_same_state_reports_no_change() {
    let home = with_account();
    for (command, said) in [
        (
            "enable",
            "unchanged: account 1 (you@example.com) is already enabled\n",
        ),
        ("disable", "disabled account 1 (you@example.com)\n"),
        (
            "disable",
            "unchanged: account 1 (you@example.com) is already disabled\n",
        ),
        ("enable", "enabled account 1 (you@example.com)\n"),
    ] {
        let output = home.run(&["user", command, EMAIL]);
        assert_eq!(stdout(&output), said);
        let is_audited = String::from_utf8_lossy(&output.stderr).contains("account_");
        assert_eq!(is_audited, !said.starts_with("unchanged"), "{output:?}");
    }
}

#[test]
fn email_with_white_space_is_found_as_given_then_trimmed() {
    let home = Home::new();
    let emails = [
        (1, "you@example.com"),
        (2, " you@example.com"),
        (3, "other@example.com\t"),
        (4, "\u{3000}plain@example.com"),
    ];
    import(&home, &emails);
    for (given, id) in [
        ("you@example.com", 1),
        (" YOU@example.com", 2),
        ("you@example.com ", 1),
        ("other@example.com\t", 3),
        ("\u{3000}plain@example.com", 4),
    ] {
        let shown = stdout(&home.run(&["user", "show", given]));
        assert!(
            shown.starts_with(&format!("id\t{id}\n")),
            "{given:?}: {shown}"
        );
    }
    for given in [
        "other@example.com",
        "other@example.com ",
        " plain@example.com",
    ] {
        let (code, said) = failure(&home.run(&["user", "show", given]));
        assert_eq!(code, 1, "{given:?}: {said}");
    }
    for command in ["disable", "enable", "revoke"] {
        stdout(&home.run(&["user", command, " you@example.com"]));
    }
    stdout(&home.run(&["user", "delete", " you@example.com", "--yes"]));
    let ids: Vec<_> = list(&home)
        .iter()
        .map(|account| account["id"].clone())
        .collect();
    assert_eq!(ids, [1, 3, 4]);
}

#[test]
fn every_account_command_accepts_an_id() {
    let home = Home::new();
    import(
        &home,
        &[(7, " seven@example.com "), (8, "eight@example.com")],
    );
    let id = ["--id", "7"];
    let show = || stdout(&home.run(&[&["user", "show"], &id[..]].concat()));
    assert!(show().contains("usable_password\tfalse"));
    let passwd = [&["user", "set-password", "--password-stdin"], &id[..]].concat();
    stdout(&home.feed(&passwd, "correct horse\n"));
    assert!(show().contains("usable_password\ttrue"));
    for (command, field) in [
        ("disable", "is_active\tfalse"),
        ("enable", "is_active\ttrue"),
    ] {
        stdout(&home.run(&[&["user", command], &id[..]].concat()));
        assert!(show().contains(field));
    }
    let cutoff = |home: &Home| list(home)[0]["tokens_valid_after"].as_i64();
    let before = cutoff(&home);
    stdout(&home.run(&[&["user", "revoke-tokens"], &id[..]].concat()));
    assert!(before < cutoff(&home));
    stdout(&home.run(&["user", "set-email", "--id", "7", "seven@example.com"]));
    assert_eq!(list(&home)[0]["email"], "seven@example.com");
    stdout(&home.run(&["user", "delete", "--id", "7", "--yes"]));
    let left = list(&home);
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(8)));
    let (code, said) = failure(&home.run(&["user", "show", "--id", "7"]));
    assert_eq!(
        (code, said.as_str()),
        (
            1,
            "error: no account has the ID 7\nhint: `signet user list` lists all accounts\n"
        )
    );
}

#[test]
fn account_must_be_named_exactly_once() {
    let home = with_account();
    for args in [
        &["user", "show"][..],
        &["user", "show", EMAIL, "--id", "1"],
        &["user", "show", "--id", "0"],
        &["user", "set-email", "new@example.com"],
        &["user", "set-email", "--id", "1"],
        &["user", "set-email", EMAIL, "new@example.com", "--id", "1"],
        &["user", "revoke-tokens"],
        &["user", "revoke-tokens", EMAIL, "--all"],
        &["user", "revoke-tokens", "--id", "1", "--all"],
        &["user", "delete", "--yes"],
    ] {
        assert_eq!(failure(&home.run(args)).0, 2, "{args:?}");
    }
    stdout(&home.run(&["user", "revoke-tokens", "--all"]));
}

#[test]
fn missing_target_is_reported_with_every_way_to_name_it() {
    let home = Home::on_sqlite();
    for (command, targets) in [
        ("unlock", "<EMAIL|--id <N>|--address <ADDRESS>>"),
        ("revoke", "<EMAIL|--id <N>|--all>"),
        ("import", "<FILE|--from-database <URL>>"),
    ] {
        let (code, message) = failure(&home.run(&["user", command]));
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(targets), "{message}");
    }
}

#[test]
fn unsupported_sqlite_path_is_rejected_and_creates_no_file() {
    let home = Home::on_sqlite();
    fs::create_dir(home.path().join("data")).unwrap();
    for (url, reason) in [
        ("sqlite:file:data/x.db", "file: URLs are not supported"),
        (
            "sqlite:file:data/x.db?mode=rwc",
            "file: URLs are not supported",
        ),
        ("sqlite:file%3Adata/x.db", "file: URLs are not supported"),
        ("sqlite:~/x.db", "`~` is not expanded"),
        ("sqlite://~/data/x.db", "`~` is not expanded"),
        ("sqlite:~you/x.db", "`~` is not expanded"),
    ] {
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["config", "check"],
            &["migrate"],
            &["doctor"],
            &["user", "list"],
            &["user", "create", EMAIL, "--password-stdin"],
        ] {
            let output = home
                .command(args)
                .env("SIGNET_DATABASE_URL", url)
                .output()
                .unwrap();
            let all = format!("{output:?}");
            let code = if args == ["doctor"] { 1 } else { 2 };
            assert_eq!(output.status.code(), Some(code), "{url} {args:?}: {all}");
            assert!(all.contains(reason), "{url} {args:?}: {all}");
        }
    }
    let folders = [home.path().to_owned(), home.path().join("data")];
    let entries = folders.map(|folder| fs::read_dir(folder).unwrap().count());
    assert_eq!(entries, [1, 0]);
}
