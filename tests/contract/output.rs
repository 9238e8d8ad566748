//! The output of commands: JSON for scripts, `--quiet`, `--verbose`, and errors with hints.

use std::{
    ffi::OsStr,
    fs::Permissions,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    process::Stdio,
};

use serde_json::{Value, json};

use crate::binary::{Home, failure, stdout};

const EMAIL: &str = "you@example.com";
const PASSWORD: &str = "correct horse\n";

fn json_of(home: &Home, args: &[&str]) -> Value {
    let output = home.feed(&[args, &["--json"]].concat(), PASSWORD);
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn json_of_account_commands_has_stable_keys() {
    const ACCOUNT: [&str; 9] = [
        "id",
        "email",
        "is_active",
        "usable_password",
        "created",
        "last_login",
        "last_login_from",
        "password_changed",
        "tokens_valid_after",
    ];
    let home = Home::new();
    for (args, is_changed) in [
        (&["create", EMAIL, "--password-stdin"][..], true),
        (&["set-password", EMAIL, "--password-stdin"], true),
        (&["set-email", EMAIL, "me@example.com"], true),
        (&["set-email", "me@example.com", "me@example.com"], false),
        (&["disable", "--id", "1"], true),
        (&["disable", "--id", "1"], false),
        (&["enable", "--id", "1"], true),
        (&["revoke-tokens", "--id", "1"], true),
    ] {
        let change = json_of(&home, &[&["user"], args].concat());
        assert_eq!(keys(&change), ["changed", "account"], "{args:?}");
        assert_eq!(change["changed"], is_changed, "{args:?}");
        assert_eq!(keys(&change["account"]), ACCOUNT, "{args:?}");
        // The account is the one after the change.
        assert_eq!(
            change["account"],
            json_of(&home, &["user", "list"])[0],
            "{args:?}"
        );
    }
    let list = json_of(&home, &["user", "list"]);
    assert_eq!(keys(&list[0]), ACCOUNT);
    let show = json_of(&home, &["user", "show", "--id", "1"]);
    assert_eq!(keys(&show), [&ACCOUNT[..], &["failures"]].concat());
    let unlock = ["user", "unlock", "--id", "1", "--address", "192.0.2.1"];
    let cleared = json_of(&home, &unlock)["cleared"].clone();
    assert_eq!(keys(&cleared[0]), ["account", "failures"]);
    assert_eq!(cleared[1], json!({ "address": "192.0.2.1", "failures": 0 }));
    let all = json_of(&home, &["user", "revoke-tokens", "--all"]);
    assert_eq!(all, json!({ "accounts": 1 }));
    let deleted = json_of(&home, &["user", "delete", "--id", "1", "--yes"]);
    assert_eq!(deleted["account"]["email"], "me@example.com");
}

#[test]
fn json_of_other_commands_has_stable_keys() {
    let home = Home::new();
    let applied = json_of(&home, &["migrate"])["applied"].clone();
    assert_eq!(applied.as_array().unwrap().len(), 7);
    assert_eq!(json_of(&home, &["migrate"]), json!({ "applied": [] }));
    let status = json_of(&home, &["migrate", "status"]);
    assert_eq!(status[6], json!({ "name": applied[6], "state": "applied" }));
    let reverted = json_of(&home, &["migrate", "down"]);
    assert_eq!(reverted, json!({ "reverted": applied[6] }));
    let check = json_of(&home, &["config", "check"]);
    assert_eq!(keys(&check), ["valid", "settings", "file"]);
    let show = json_of(&home, &["config", "show"]);
    assert_eq!(keys(&show["log"]), ["value", "source"]);
    let doctor = json_of(&home, &["doctor"]);
    assert_eq!(keys(&doctor[0]), ["name", "status", "message", "hint"]);
    let home = Home::on_sqlite();
    drop(home.serve(&[]));
    let rotated = json_of(&home, &["secret", "rotate"]);
    let files = [
        "action",
        "secret_file",
        "previous_secrets_file",
        "staged_secret_file",
    ];
    assert_eq!(keys(&rotated), files);
    assert_eq!(rotated["action"], "rotated");
    let status = json_of(&home, &["secret", "status"]);
    assert_eq!(keys(&status), ["secrets", "verified_unknown"]);
    let secret = ["secret", "file", "changed", "until", "verified"];
    assert_eq!(keys(&status["secrets"][0]), secret);
}

#[test]
fn empty_list_says_so_on_standard_error() {
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    let output = home.run(&["user", "list"]);
    assert_eq!(stdout(&output), "");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "no accounts\n");
    assert_eq!(json_of(&home, &["user", "list"]), json!([]));
}

#[test]
fn quiet_command_prints_only_errors_and_verbose_command_logs_more() {
    let home = Home::on_sqlite();
    let add = ["user", "create", EMAIL, "--password-stdin"];
    let output = home.feed(&[&add[..], &["-q"]].concat(), PASSWORD);
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    let (_, said) = failure(&home.feed(&[&add[..], &["--quiet"]].concat(), PASSWORD));
    assert_eq!(
        said,
        "error: you@example.com: an account with this email exists (case is ignored)\n"
    );
    // `--quiet` does not suppress the output that was asked for.
    let list = stdout(&home.run(&["--quiet", "user", "list"]));
    assert_eq!(list, "1\tyou@example.com\tactive\t\n");

    let level = |flag: &str| {
        let shown = stdout(&home.run(&["config", "show", "--json", flag]));
        serde_json::from_str::<Value>(&shown).unwrap()["log"]["value"].clone()
    };
    assert_eq!([level("-q"), level("-v")], ["error", "debug"]);
    for args in [
        ["user", "list", "-q", "-v"].as_slice(),
        &["-q", "user", "list", "-v"],
        &["-v", "user", "list", "--log", "info"],
        &["--log", "info", "user", "list", "-q"],
    ] {
        let (code, said) = failure(&home.run(args));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn quiet_import_reports_only_records_that_were_not_imported() {
    let home = Home::new();
    let user = |id: i64, email: &str, password: &str| {
        let fields =
            json!({ "email": email, "password": password, "date_joined": "2020-01-31T12:00:00" });
        json!({ "model": "auth.user", "pk": id, "fields": fields })
    };
    let dump = json!([user(1, EMAIL, "!"), user(2, "", "!")]);
    std::fs::write(home.path().join("dump.json"), dump.to_string()).unwrap();
    let output = home.run(&["user", "import", "dump.json", "--quiet"]);
    assert_eq!(stdout(&output), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("skipped: ") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn error_of_the_system_has_a_hint_that_fits() {
    let home = Home::on_sqlite();
    std::fs::create_dir(home.path().join("folder")).unwrap();
    std::fs::write(home.path().join("text"), "text ".repeat(100)).unwrap();
    for (args, hint) in [
        (
            &["user", "list", "--database-url", "sqlite:folder"][..],
            "use the path of a file, not of a folder",
        ),
        (
            &["user", "list", "--database-url", "sqlite:text"],
            "the file is not a database of SQLite",
        ),
        (
            &["serve", "--database-url", "sqlite:text/signet.db"],
            "create the folder with write permission",
        ),
        (
            &[
                "user",
                "list",
                "--database-url",
                "postgres://db/x?sslmode=off",
            ],
            "correct the options after the `?` of the URL",
        ),
        (
            &["serve", "--listen", "unix:missing/socket"],
            "create the folder of the socket",
        ),
        (&["man", "missing"], "create the folder"),
        (
            &["user", "import", "--from-database", "sqlite:missing"],
            "use the path of the Django service's database",
        ),
    ] {
        let (_, said) = failure(&home.run(args));
        assert!(said.contains(hint), "{args:?}: {said}");
    }
    let (_, said) = failure(&home.feed(&["user", "import", "-"], "{"));
    assert!(said.contains("error: standard input: line 1: "), "{said}");
}

/// A script may close standard error, or the disk of its file may be full.
#[test]
fn command_succeeds_without_a_reader_of_its_notes() {
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    let full = || std::fs::File::create("/dev/full").unwrap();
    let closed = || std::os::fd::OwnedFd::from(std::io::pipe().unwrap().1);
    for stderr in [Stdio::from(full()), Stdio::from(closed())] {
        let mut signet = home.command(&["user", "list"]);
        let status = signet.stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(0));
    }
    for stderr in [Stdio::from(full()), Stdio::from(closed())] {
        let mut signet = home.command(&["user", "show", "nobody@example.com"]);
        let status = signet.stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn path_that_is_not_utf_8_is_shown_with_replacement_characters() {
    let home = Home::on_sqlite();
    let target = home.path().join(OsStr::from_bytes(b"secret-\xff"));
    std::fs::write(&target, "a secret of at least thirty-two bytes\n").unwrap();
    std::fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    symlink(&target, home.path().join("secret")).unwrap();
    let rotate = ["secret", "rotate", "--json"];
    let mut signet = home.command(&rotate);
    signet.env("SIGNET_JWT_SECRET_FILE", "secret");
    signet.env("SIGNET_JWT_PREVIOUS_SECRETS_FILE", "previous");
    let rotated: Value = serde_json::from_str(&stdout(&signet.output().unwrap())).unwrap();
    let file = rotated["secret_file"].as_str().unwrap();
    assert!(file.ends_with("/secret-\u{fffd}"), "{file}");
}

#[test]
fn error_has_one_line_for_the_failure_and_one_for_the_remedy() {
    let home = Home::on_sqlite();
    let (code, said) = failure(&home.run(&["secret", "status"]));
    assert_eq!(code, 1);
    assert_eq!(
        said,
        "error: no secret yet\nhint: `signet serve` creates the first secret\n"
    );
    // Several errors of the settings have a hint each.
    let output = home
        .command(&["config", "check"])
        .env("SIGNET_CONNECTIONS", "many")
        .env("SIGNET_LISTN", "x")
        .output()
        .unwrap();
    let (code, said) = failure(&output);
    assert_eq!(code, 2, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[0],
        "error: SIGNET_CONNECTIONS: invalid value \"many\": not a whole number"
    );
    assert!(lines[1].starts_with("hint: connections: "), "{said}");
    assert_eq!(lines[2], "error: SIGNET_LISTN: unknown setting");
    assert_eq!(
        lines[3],
        "hint: did you mean SIGNET_LISTEN? Otherwise, unset the variable"
    );
}
