//! `user import` imports the accounts of a Django service in one transaction: all valid records, or no account.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::{
    binary::{Home, Service, failure, stdout},
    world::OBTAIN,
};

const HASH: &str =
    "pbkdf2_sha256$260000$DEyHzzhS8TlL1VcpmV4sfA$rNePkwh+DMTEE800OWKOr205YiTF0cAcUCnwKvZ2pn4=";

/// Returns a user in the format of `dumpdata`. `fields` overwrite or extend the default fields.
fn user(id: impl Into<Value>, fields: Value) -> Value {
    let mut user = json!({
        "model": "accounts.member",
        "pk": id.into(),
        "fields": {
            "password": HASH, "last_login": null, "is_superuser": false, "first_name": "", "is_staff": false,
            "is_active": true, "date_joined": "2017-03-04T05:06:07.089Z", "groups": [],
        },
    });
    for (name, value) in fields.as_object().unwrap() {
        user["fields"][name] = value.clone();
    }
    user
}

fn with_email(id: i64, email: &str) -> Value {
    user(id, json!({ "email": email }))
}

fn import(home: &Home, dump: impl AsRef<[u8]>, flags: &[&str]) -> Output {
    fs::write(home.path().join("dump.json"), dump).unwrap();
    home.run(&[&["user", "import", "dump.json"], flags].concat())
}

fn accounts(home: &Home) -> Vec<Value> {
    let list = stdout(&home.run(&["user", "list", "--json"]));
    serde_json::from_str::<Vec<Value>>(&list).unwrap()
}

/// Returns the ID and email of every account.
fn names(home: &Home) -> Vec<(i64, String)> {
    let name = |account: &Value| {
        let email = account["email"].as_str().unwrap().to_owned();
        (account["id"].as_i64().unwrap(), email)
    };
    accounts(home).iter().map(name).collect()
}

#[test]
fn import_preserves_every_supported_field() {
    let home = Home::new();
    let dump = json!([
        { "model": "sessions.session", "pk": "k", "fields": { "session_data": "x", "email": 7, "password": "p" }},
        user(7, json!({ "email": "Jane@Example.com", "last_login": "2018-10-17T00:54:56.125+02:00" })),
        user(9, json!({ "email": "gone@example.com", "is_active": false, "password": "!unusable" })),
        // The email is in the username.
        user(11, json!({ "username": "name@example.com" })),
        user(12, json!({ "email": "", "username": "blank@example.com", "password": "" })),
        user(13, json!({ "email": "both@example.com", "username": "other@example.com" })),
    ]);
    let said = stdout(&import(
        &home,
        dump.to_string(),
        &["--model", "accounts.member"],
    ));
    assert_eq!(
        said,
        "5 added, 0 updated, 0 unchanged, 0 skipped, 0 with a warning (pbkdf2_sha256 3, unusable 2)\n"
    );
    let accounts = accounts(&home);
    assert_eq!(
        accounts[0],
        json!({
            "id": 7, "email": "Jane@Example.com", "is_active": true, "usable_password": true,
            "created": "2017-03-04T05:06:07.089Z", "last_login": "2018-10-16T22:54:56.125Z", "last_login_from": null,
            "password_changed": accounts[0]["password_changed"], "tokens_valid_after": 0,
        })
    );
    assert_eq!(accounts[1]["is_active"], false);
    assert_eq!(accounts[1]["usable_password"], false);
    assert_eq!(
        names(&home)[2..],
        [
            (11, "name@example.com".to_owned()),
            (12, "blank@example.com".to_owned()),
            (13, "both@example.com".to_owned()),
        ]
    );
    // The ID of a new account is one more than the largest imported ID.
    let add = ["user", "create", "next@example.com", "--password-stdin"];
    let said = stdout(&home.feed(&add, "correct horse\n"));
    assert_eq!(said, "created account 14 (next@example.com)\n");
}

#[test]
fn dry_run_and_repeated_import_change_no_account() {
    let home = Home::new();
    let dump = include_str!("django-dump.json");
    let said = stdout(&import(&home, dump, &["--dry-run"]));
    assert!(
        said.starts_with("dry run, nothing was changed: 28 added, 0 updated, "),
        "{said}"
    );
    assert!(!home.path().join("data").exists(), "a database exists");

    stdout(&import(&home, dump, &[]));
    let before = accounts(&home);
    for flags in [&[][..], &["--update"], &["--dry-run", "--update"]] {
        let said = stdout(&import(&home, dump, flags));
        assert!(
            said.contains("0 added, 0 updated, 28 unchanged, 0 skipped"),
            "{said}"
        );
    }
    assert_eq!(accounts(&home), before);
}

#[test]
fn import_changes_existing_accounts_only_with_update() {
    let home = Home::new();
    let first = json!([
        with_email(1, "a@example.com"),
        with_email(2, "b@example.com")
    ]);
    stdout(&import(&home, first.to_string(), &[]));
    let changed = json!([
        user(
            1,
            json!({ "email": "A@example.com", "is_active": false, "password": "!" })
        ),
        user(
            2,
            json!({ "email": "new@example.com", "last_login": "2018-10-17T00:00:00Z" })
        ),
        with_email(3, "c@example.com"),
    ]);
    let output = import(&home, changed.to_string(), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("ID 2: b@example.com has the same ID"),
        "{said}"
    );
    assert!(stdout(&output).starts_with("1 added, 0 updated, 1 unchanged, 1 skipped"));
    assert_eq!(accounts(&home)[0]["email"], "a@example.com");

    let said = stdout(&import(&home, changed.to_string(), &["--update"]));
    assert!(
        said.starts_with("0 added, 2 updated, 1 unchanged, 0 skipped"),
        "{said}"
    );
    let [first, second, _] = &accounts(&home)[..] else {
        panic!("expected three accounts");
    };
    assert_eq!(
        (
            &first["email"],
            &first["is_active"],
            &first["usable_password"]
        ),
        (&json!("A@example.com"), &json!(false), &json!(false))
    );
    assert_eq!(
        (&second["email"], &second["last_login"]),
        (&json!("new@example.com"), &json!("2018-10-17T00:00:00Z"))
    );
    // A new password or email revokes the tokens of the account.
    assert_ne!(first["tokens_valid_after"], 0);
    assert_ne!(second["tokens_valid_after"], 0);
}

/// Asserts that an import skips the record, reports its position, its ID and `reason`, and imports the other records.
fn assert_skipped(wrong: Value, reason: &str) {
    let home = Home::new();
    let dump = json!([
        with_email(1, "a@example.com"),
        wrong,
        with_email(3, "c@example.com")
    ]);
    let output = import(&home, dump.to_string(), &[]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let told = said
        .lines()
        .find(|line| line.starts_with("skipped: line 1, column "));
    let told = told.unwrap_or_else(|| panic!("{reason}: {said}"));
    assert!(told.contains(reason), "{reason}: {told}");
    assert!(told.len() < 400, "too long: {told}");
    let summary = stdout(&output);
    assert!(
        summary.starts_with("2 added, 0 updated, 0 unchanged, 1 skipped"),
        "{summary}"
    );
    let names: Vec<_> = names(&home).into_iter().map(|(id, _)| id).collect();
    assert_eq!(names, [1, 3]);
}

#[test]
fn import_skips_invalid_and_duplicate_ids() {
    let with_id = |id: Value| user(id, json!({ "email": "x@example.com" }));
    for (id, reason) in [
        (json!(1), "ID 1: the ID occurs more than once"),
        (
            json!(0),
            "the ID \"0\" is not a whole number from 1 to 9223372035854775807: larger IDs are reserved",
        ),
        (json!(-5), "the ID \"-5\" is not"),
        (json!(i64::MAX), "the ID \"9223372036854775807\" is not"),
        (json!(i64::MAX - 1), "the ID \"9223372036854775806\" is not"),
        (
            json!(i64::MAX - 999_999_999),
            "the ID \"9223372035854775808\" is not",
        ),
        (json!(u64::MAX), "the ID \"18446744073709551615\" is not"),
        (json!(1e30), "the ID \"1e+30\" is not"),
        (json!(1.5), "the ID \"1.5\" is not"),
        (json!("0f1e"), "the ID \"0f1e\" is not"),
        (json!(null), "ID ?: no ID"),
        (json!([1]), "ID ?: the ID is not a whole number"),
    ] {
        assert_skipped(with_id(id), reason);
    }
}

#[test]
fn import_skips_missing_duplicate_and_oversized_emails() {
    let long = "x".repeat(10 * 1024 * 1024) + "@example.com";
    for (fields, reason) in [
        (
            json!({ "email": "A@EXAMPLE.com" }),
            "ID 2: account 1 has the same email",
        ),
        (json!({ "email": null }), "ID 2: no email"),
        (json!({ "username": null }), "ID 2: no email"),
        (json!({ "email": "", "username": "" }), "ID 2: no email"),
        (json!({ "email": ["x"] }), "ID 2: the email is not text"),
        (
            json!({ "email": "nul\0@example.com" }),
            "ID 2: the email contains a null character",
        ),
        (
            json!({ "email": long }),
            "ID 2: the email is longer than 4096 bytes",
        ),
    ] {
        assert_skipped(user(2, fields), reason);
    }
}

#[test]
fn import_skips_unverifiable_passwords_and_invalid_states() {
    let long = "x".repeat(10 * 1024 * 1024);
    let dear = HASH.replace("260000", "99000000");
    for (name, value, reason) in [
        (
            "password",
            json!("md5$salt$118b8b6eefad3107891080e030514115"),
            "the scheme md5 is too weak; --accept-unusable",
        ),
        (
            "password",
            json!(dear),
            "the password cannot be verified: the hash takes more than 1 GiB",
        ),
        ("password", json!(long), "the scheme is unknown"),
        (
            "is_active",
            json!("perhaps"),
            "is_active is \"perhaps\", which is neither true nor false",
        ),
        (
            "is_active",
            json!([]),
            "is_active is neither true nor false",
        ),
    ] {
        assert_skipped(
            user(2, json!({ "email": "x@example.com", name: value })),
            reason,
        );
    }
}

/// An unreadable date is no reason to skip an account.
#[test]
fn import_omits_unreadable_dates_with_a_warning() {
    let home = Home::new();
    let dump = json!([
        user(
            1,
            json!({ "email": "a@example.com", "date_joined": "1st May", "last_login": 7 })
        ),
        user(2, json!({ "email": "b@example.com", "is_active": null })),
        // The token cutoff must be after the last login. A future login would revoke future tokens.
        user(
            3,
            json!({ "email": "c@example.com", "last_login": "2999-01-01T00:00:00Z" })
        ),
    ]);
    let output = import(&home, dump.to_string(), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for reason in [
        "ID 1: date_joined is \"1st May\", which is not a date and time",
        "ID 1: last_login is not a date and time",
    ] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    let accounts = accounts(&home);
    assert_eq!(accounts[0]["last_login"], json!(null));
    assert_eq!(accounts[2]["last_login"], json!(null));
    // Django treats null as false.
    assert_eq!(
        (&accounts[0]["is_active"], &accounts[1]["is_active"]),
        (&json!(true), &json!(false))
    );
}

/// A record of the user model that lacks a required field is reported, not ignored.
#[test]
fn import_reports_users_without_required_fields() {
    let home = Home::new();
    let mut dump = json!([
        with_email(1, "a@example.com"),
        with_email(2, "b@example.com"),
        with_email(3, "c@example.com"),
        { "model": "Accounts.Member", "pk": 4 },
    ]);
    dump[1]["fields"]
        .as_object_mut()
        .unwrap()
        .remove("password");
    dump[2]["fields"].as_object_mut().unwrap().remove("email");
    let output = import(&home, dump.to_string(), &["--model", "accounts.Member"]);
    assert!(stdout(&output).starts_with("1 added, 0 updated, 0 unchanged, 3 skipped"));
    let said = String::from_utf8_lossy(&output.stderr);
    for reason in ["ID 2: no password", "ID 3: no email", "ID 4: no email"] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

/// An update applies only the changes that were made in Django since the last import.
#[test]
fn update_keeps_passwords_that_changed_only_here() {
    let home = Home::new();
    let older = "md5$salt$118b8b6eefad3107891080e030514115";
    let dump = |password: &str| {
        json!([
            user(1, json!({ "email": "a@example.com", "password": older })),
            user(2, json!({ "email": "b@example.com", "password": password })),
            user(3, json!({ "email": "c@example.com", "password": "!" })),
        ])
        .to_string()
    };
    let flags = ["--accept-unusable", "--update"];
    stdout(&import(&home, dump(HASH), &flags));
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        let passwd = ["user", "set-password", email, "--password-stdin"];
        let said = stdout(&home.feed(&passwd, "correct horse\n"));
        assert!(!said.contains("no password"), "{said}");
    }
    let before = accounts(&home);
    let said = stdout(&import(&home, dump(HASH), &flags));
    assert!(
        said.starts_with("0 added, 0 updated, 3 unchanged"),
        "{said}"
    );
    assert_eq!(accounts(&home), before);
    // Without --accept-unusable, an update still applies the other changes.
    let disabled = dump(HASH).replace("\"is_active\":true", "\"is_active\":false");
    let said = stdout(&import(&home, disabled, &["--update"]));
    assert!(
        said.starts_with("0 added, 3 updated, 0 unchanged, 0 skipped"),
        "{said}"
    );
    assert_eq!(accounts(&home)[0]["is_active"], false);
    assert_eq!(accounts(&home)[0]["usable_password"], true);
    // The password of account 2 changes in Django, too.
    let said = stdout(&import(&home, dump("!"), &flags));
    assert!(
        said.starts_with("0 added, 3 updated, 0 unchanged"),
        "{said}"
    );
    let usable: Vec<_> = accounts(&home)
        .iter()
        .map(|account| account["usable_password"].clone())
        .collect();
    assert_eq!(usable, [true, false, true]);
}

#[test]
fn update_moves_emails_between_accounts() {
    let home = Home::new();
    let dump = |emails: &[(i64, &str)]| {
        let users: Vec<_> = emails
            .iter()
            .map(|(id, email)| with_email(*id, &format!("{email}@example.com")))
            .collect();
        json!(users).to_string()
    };
    stdout(&import(&home, dump(&[(1, "a"), (2, "b"), (3, "c")]), &[]));
    let moved = dump(&[(4, "a"), (1, "b"), (2, "c"), (3, "d")]);
    let said = stdout(&import(&home, &moved, &["--update"]));
    assert!(
        said.starts_with("1 added, 3 updated, 0 unchanged, 0 skipped"),
        "{said}"
    );
    let said = stdout(&import(&home, &moved, &["--update"]));
    assert!(
        said.starts_with("0 added, 0 updated, 4 unchanged, 0 skipped"),
        "{said}"
    );

    // Two pairs of accounts swap their emails.
    let swapped = dump(&[(4, "b"), (1, "a"), (2, "d"), (3, "c")]);
    let said = stdout(&import(&home, &swapped, &["--update"]));
    assert!(
        said.starts_with("0 added, 4 updated, 0 unchanged, 0 skipped"),
        "{said}"
    );
    let names: Vec<_> = names(&home).into_iter().map(|(_, email)| email).collect();
    assert_eq!(
        names,
        [
            "a@example.com",
            "d@example.com",
            "c@example.com",
            "b@example.com"
        ]
    );
    // Accounts without a record keep their emails, so both records are skipped.
    let taken = dump(&[(1, "d"), (9, "b")]);
    let (code, said) = failure(&import(&home, taken, &["--update"]));
    assert_eq!(
        (code, said.matches("has the same email").count()),
        (1, 2),
        "{said}"
    );

    // A repeated ID is rejected, whether its records are close together or far apart.
    let twice = dump(&[(5, "e"), (6, "f"), (5, "g"), (1, "h"), (1, "i")]);
    let output = import(&home, twice, &["--update"]);
    assert!(stdout(&output).starts_with("2 added, 1 updated, 0 unchanged, 2 skipped"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("ID 5: the ID occurs more than once"),
        "{said}"
    );
    assert!(
        said.contains("ID 1: the ID occurs more than once"),
        "{said}"
    );
}

/// The values of these records exceed the number of parameters of one SQL statement.
#[test]
fn import_reports_each_of_thousands_of_email_conflicts() {
    const MANY: i64 = 17_000;
    let home = Home::new();
    let dump = |from: i64| {
        let all: Vec<_> = (0..MANY)
            .map(|at| with_email(from + at, &format!("user{at}@example.com")))
            .collect();
        json!(all).to_string()
    };
    stdout(&import(&home, dump(1), &[]));
    let output = import(&home, dump(100_000), &["--update", "--json"]);
    let (code, said) = failure(&output);
    assert_eq!(code, 1);
    assert!(said.contains("no account could be imported"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["skipped"], MANY);
}

#[test]
fn import_skips_ids_of_deleted_accounts() {
    let home = Home::new();
    let dump = json!([
        with_email(1, "a@example.com"),
        with_email(2, "b@example.com")
    ])
    .to_string();
    stdout(&import(&home, &dump, &[]));
    stdout(&home.run(&["user", "delete", "b@example.com", "--yes"]));
    let output = import(&home, &dump, &["--update"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("ID 2: the ID belonged to a deleted account"),
        "{said}"
    );
    assert_eq!(names(&home), [(1, "a@example.com".to_owned())]);
}

#[test]
fn accept_unusable_imports_accounts_with_unverifiable_passwords() {
    let home = Home::new();
    let old = user(
        1,
        json!({ "email": "old@example.com", "password": "md5$salt$118b8b6eefad3107891080e030514115" }),
    );
    let dump = json!([old]).to_string();
    let (code, said) = failure(&import(&home, &dump, &[]));
    assert_eq!(code, 1);
    assert!(
        said.contains("no account could be imported; nothing was changed"),
        "{said}"
    );
    // The JSON report lists the skipped record, too.
    let report = import(&home, &dump, &["--json"]).stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["problems"][0]["skipped"], true);
    let said = stdout(&import(&home, &dump, &["--accept-unusable"]));
    assert!(said.ends_with("(unusable 1)\n"), "{said}");
    assert_eq!(accounts(&home)[0]["usable_password"], false);
}

/// The tokens of the account can be refreshed, but the account cannot log in.
#[test]
fn import_accepts_invalid_emails_with_a_warning() {
    let home = Home::new();
    let dump = json!([with_email(5, "not an email")]).to_string();
    let output = import(&home, &dump, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(
            "warning: line 1, column 2, ID 5: the email is invalid: the account cannot log in"
        ),
        "{said}"
    );
    assert_eq!(names(&home), [(5, "not an email".to_owned())]);
}

#[test]
fn json_report_contains_counts_and_problems() {
    let home = Home::new();
    let dump = json!([
        with_email(1, "a@example.com"),
        with_email(1, "b@example.com"),
        with_email(3, "c")
    ]);
    let output = import(&home, dump.to_string(), &["--json"]);
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let problem = |place: &str, id: &str, skipped, reason: &str| json!({ "place": place, "id": id, "skipped": skipped, "reason": reason });
    let second = dump[0].to_string().len() + 3;
    let third = second + dump[1].to_string().len() + 1;
    assert_eq!(
        said,
        json!({
            "dry_run": false, "added": 2, "updated": 0, "unchanged": 0, "skipped": 1, "warned": 1,
            "preserved": 0, "revoked": 0, "naive_times": 0,
            "schemes": { "pbkdf2_sha256": 2 },
            "problems": [
                problem(&format!("line 1, column {second}"), "1", true, "the ID occurs more than once"),
                problem(&format!("line 1, column {third}"), "3", false,
                    "the email is invalid: the account cannot log in, but its tokens can be refreshed"),
            ],
            "problems_left_out": 0,
        })
    );
}

#[test]
fn invalid_dump_is_reported_with_its_position_and_changes_no_account() {
    let good = json!([
        with_email(1, "a@example.com"),
        with_email(2, "b@example.com")
    ])
    .to_string();
    let one = with_email(1, "a@example.com").to_string();
    let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let broken = good.replace("b@example.com", "b\u{e9}@example.com");
    let latin_1: Vec<u8> = broken
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let other = json!([{ "model": "app.page", "pk": 1, "fields": { "title": "x" } }]).to_string();
    let mut both: Value = serde_json::from_str(&good).unwrap();
    both[1]["model"] = json!("shop.customer");
    for (dump, reason) in [
        (good[..good.len() - 40].into(), "unexpected end of the file"),
        (good[..good.len() - 1].into(), "unexpected end of the file"),
        (
            b"\xef\xbb\xbf[]".to_vec(),
            "line 1: the file begins with a byte order mark",
        ),
        (
            [b"\xff\xfe".to_vec(), utf_16].concat(),
            "line 1: the file is UTF-16",
        ),
        (
            latin_1,
            "the text is not UTF-8; nothing was changed\nhint: save the dump as UTF-8",
        ),
        (
            format!("[{{\"pk\":{}}}]", "9".repeat(200)).into_bytes(),
            "line 1, column 8: the number is too large",
        ),
        (b"\x1f\x8b\x08\0".to_vec(), "line 1: the file is compressed"),
        (Vec::new(), "line 1: the file is empty"),
        (
            b"- model: auth.user\n".to_vec(),
            "the file is not a JSON list of objects",
        ),
        (
            b"<django-objects/>".to_vec(),
            "line 1, column 1: invalid JSON",
        ),
        (
            format!("{one}\n{one}\n").into_bytes(),
            "the file is not a JSON list of objects",
        ),
        (
            format!("[{one}]\n[{one}]\n").into_bytes(),
            "line 2, column 1: text after the end of the list",
        ),
        (b"[]".to_vec(), "the file contains no user"),
        (other.into_bytes(), "the file contains no user"),
        (b"[1]".to_vec(), "line 1, column 2: not a JSON object"),
        (
            format!("[\n{one},\n{{]").into_bytes(),
            "line 3, column 2: invalid JSON",
        ),
        (
            both.to_string().into_bytes(),
            "both accounts.member and shop.customer look like users",
        ),
    ] {
        let home = Home::new();
        stdout(&import(
            &home,
            json!([with_email(9, "here@example.com")]).to_string(),
            &[],
        ));
        let (code, said) = failure(&import(&home, &dump, &[]));
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("error: dump.json: ") && said.contains(reason),
            "{reason}: {said}"
        );
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(names(&home), [(9, "here@example.com".to_owned())]);
    }
    let home = Home::new();
    for (file, reason) in [("missing.json", "No such file"), (".", "is a directory")] {
        let (code, said) = failure(&home.run(&["user", "import", file]));
        assert_eq!(code, 1);
        assert!(
            said.contains("cannot read") && said.contains(reason),
            "{said}"
        );
    }
}

#[test]
fn csv_columns_are_found_by_their_header() {
    let home = Home::new();
    let file = home.path().join("users.csv");
    let header = "id,username,email,password,is_active,last_login,date_joined";
    fs::write(
        &file,
        format!(
            "{header}\n4,d,\"d@example.com\",{HASH},t,2018-10-17 00:54:56.125+00,2017-01-01 00:00:00\n\
             5,e@example.com,,!,f,,\n"
        ),
    )
    .unwrap();
    let said = stdout(&home.run(&["user", "import", "users.csv"]));
    assert!(said.starts_with("2 added"), "{said}");
    let accounts = accounts(&home);
    assert_eq!(accounts[0]["last_login"], "2018-10-17T00:54:56.125Z");
    assert_eq!(accounts[0]["created"], "2017-01-01T00:00:00Z");
    assert_eq!(accounts[1]["email"], "e@example.com");
    assert_eq!(accounts[1]["is_active"], false);

    fs::copy(&file, home.path().join("users.txt")).unwrap();
    let said = stdout(&home.run(&["user", "import", "users.txt", "--format", "csv"]));
    assert!(
        said.starts_with("0 added, 0 updated, 2 unchanged"),
        "{said}"
    );

    let unclosed = format!(
        "{header}\n1,a,\"a@example.com,{}",
        "x".repeat(20 * 1024 * 1024)
    );
    for (text, reason) in [
        (
            "id,email\n1,a@example.com\n",
            "line 1: the column \"password\" is missing",
        ),
        (
            "email,password\na@example.com,!\n",
            "line 1: the column \"id\" is missing",
        ),
        ("id,email,password\n", "the file contains no user"),
        (
            "id,email,password\n1,a@example.com,!\n2,b\n",
            "line 3: 2 columns, but the first line has 3",
        ),
        (&unclosed, "a row is longer than 16 MiB"),
        (
            "id,email,password\n1,a@example.com,\"oops\n2,b@example.com,!\n",
            "the closing quote is missing",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let (code, said) = failure(&home.run(&["user", "import", "users.csv"]));
        assert_eq!(code, 1);
        assert!(said.contains(reason), "{reason}: {said}");
    }
    fs::write(&file, b"id,email,password\n1,a\xe9@example.com,!\n").unwrap();
    let (_, said) = failure(&home.run(&["user", "import", "users.csv"]));
    assert!(said.contains("line 2: the text is not UTF-8"), "{said}");
    assert_eq!(names(&home).len(), 2);
}

fn import_csv(home: &Home, text: &str, flags: &[&str]) -> Output {
    fs::write(home.path().join("users.csv"), text).unwrap();
    home.run(&[&["user", "import", "users.csv"], flags].concat())
}

fn assert_csv_is_rejected(text: &str, reason: &str) {
    let home = Home::new();
    let (code, said) = failure(&import_csv(&home, text, &[]));
    assert_eq!(code, 1, "{text:.300?}: {said}");
    assert!(said.contains(reason), "{text:.300?}: {said}");
    assert!(said.contains("nothing was changed"), "{said}");
}

#[test]
fn csv_with_two_columns_for_a_field_is_rejected() {
    for (header, columns) in [
        (
            "id,email,verified,primary,user_id,id,password,is_active,email",
            "two columns contain the id: column 1 (\"id\") and column 6 (\"id\")",
        ),
        (
            "id,email,password, EMAIL ",
            "two columns contain the email: column 2 (\"email\") and column 4 (\"EMAIL\")",
        ),
        (
            "pk;email;password;Id",
            "two columns contain the id: column 1 (\"pk\") and column 4 (\"Id\")",
        ),
        (
            "id,username,username,password",
            "two columns contain the username",
        ),
        (
            "id,email,password,password",
            "two columns contain the password",
        ),
        (
            "id,email,password,is_active,is_active",
            "two columns contain the is_active",
        ),
        (
            "id,email,password,last_login,last_login",
            "two columns contain the last_login",
        ),
        (
            "id,email,password,date_joined,date_joined",
            "two columns contain the date_joined",
        ),
    ] {
        let delimiter = if header.contains(';') { ";" } else { "," };
        let count = header.split(delimiter).count();
        let row = vec!["1"; count].join(delimiter);
        assert_csv_is_rejected(&format!("{header}\n{row}\n"), columns);
    }
    // Columns that the import ignores may share a name.
    let home = Home::new();
    let csv = "id,note,email,note,password\n1,x,a@example.com,y,!\n";
    let said = stdout(&import_csv(&home, csv, &[]));
    assert!(said.starts_with("1 added"), "{said}");
}

#[test]
fn csv_with_a_stray_quote_is_rejected() {
    let header = "id,email,password,name\n";
    for (rows, reason) in [
        // The stray quotes would turn two rows into part of a name.
        (
            "1,a@example.com,!,x\n2,b@example.com,!,\"y\n3,c@example.com,!,z\n4,d@example.com,!,\"w\n",
            "line 5: text after the closing quote of a field, whose opening quote is in line 3",
        ),
        (
            "1,a@example.com,!,\"x\" \n",
            "line 2: text after the closing quote",
        ),
        (
            "1,a@example.com,!,\"x\\\"y\"\n",
            "line 2: text after the closing quote",
        ),
        (
            "1,a@example.com,!,x\r\n2,b@example.com,!,5\" disk\r\n",
            "line 3: a quote in a field",
        ),
        ("1,a@example.com,!, \"x\"\n", "line 2: a quote in a field"),
        ("1,a\"@example.com,!,x\n", "line 2: a quote in a field"),
        (
            "1,a@example.com,!,x\n2,b@example.com,!,\"\"\"\n",
            "the opening quote is in line 3",
        ),
        (
            "1,a@example.com,!,x\n2,\"b@example.com,!,x\n3,c@example.com\",!,x\n",
            "line 3: the email contains a line break",
        ),
        (
            "1,a@example.com,\"!,x\n2,b@example.com,!\",x\n",
            "line 2: the password contains a line break",
        ),
    ] {
        assert_csv_is_rejected(&format!("{header}{rows}"), reason);
    }
    assert_csv_is_rejected(
        "id,email,password,\"name\n1,a@example.com,!,x\n",
        "the opening quote is in line 1",
    );
    assert_csv_is_rejected(
        "id,email,password,na\"me\n1,a@example.com,!,x\n",
        "line 1: a quote in a field",
    );
    // The stray quote is beyond the first read of the file.
    let many = (1..=5000).fold(String::new(), |mut rows, id| {
        let _ = writeln!(rows, "{id},user{id}@example.com,!,\"x, \"\"y\"\"\"");
        rows
    });
    let stray = "5001,z@example.com,!,x\"\n";
    assert_csv_is_rejected(
        &format!("{header}{many}{stray}"),
        "line 5002: a quote in a field",
    );
    let rows = "1,a@example.com,!,x\n".repeat(1_000_000);
    assert_csv_is_rejected(
        &format!("id,email,password,\"name\n{rows}"),
        "a row is longer than 16 MiB",
    );

    let home = Home::new();
    let rows = "1,a@example.com,!,\"x, \"\"y\"\"\nz\"\n\n2,\"b@example.com\",\"!\",\"\"\r\n3,c@example.com,!,\"\"\"\"";
    let said = stdout(&import_csv(&home, &format!("{header}{rows}"), &[]));
    assert!(said.starts_with("3 added"), "{said}");
}

#[test]
fn csv_may_have_a_byte_order_mark_and_other_delimiters() {
    for csv in [
        "\u{feff}id,email,password\n1,a@example.com,!\n",
        "\u{feff}\"id\",email,password\n1,a@example.com,!\n",
        "id;email;password\n1;a@example.com;!\n",
        "\u{feff}id;email;password;\"a;b\nc\"\r\n1;a@example.com;!;x,y\r\n",
        "id\temail\tpassword\tlast_login\n1\ta@example.com\t!\t\\N\n",
        "\n\r\nid\tusername\tpassword\n1\ta@example.com\t!\n",
        "id\temail\tpassword\ta,b;c\n1\ta@example.com\t!\tx\n",
        "PK,Email,a;b;c;d,Password\r1,a@example.com,x,!\r",
    ] {
        let home = Home::new();
        let output = import_csv(&home, csv, &[]);
        let said = stdout(&output);
        assert!(
            said.starts_with("1 added, 0 updated, 0 unchanged, 0 skipped, 0 with a warning"),
            "{csv:?}: {said}"
        );
        assert_eq!(names(&home), [(1, "a@example.com".to_owned())], "{csv:?}");
    }
    for (csv, reason) in [
        (
            "id|email|password\n1|a@example.com|!\n",
            "the column \"id\" is missing",
        ),
        (
            "id;email;password\n1,a@example.com,!\n",
            "line 2: 1 columns, but the first line has 3",
        ),
        (
            "id\temail\tpassword\n1\ta@example.com\t!x\"\n",
            "line 2: a quote in a field",
        ),
        ("\u{feff}", "the column \"id\" is missing"),
        (
            "\u{feff}id;email\n1;a@example.com\n",
            "the column \"password\" is missing",
        ),
    ] {
        assert_csv_is_rejected(csv, reason);
    }
}

/// `dumpdata` writes values that Python's `json` module accepts, but that are not valid JSON.
#[test]
fn dump_with_values_that_are_not_json_is_imported() {
    let values = [
        "NaN",
        "Infinity",
        "-Infinity",
        r#"{"nested": [1, NaN, -Infinity, {"a": Infinity}]}"#,
        r#""\ud800""#,
        r#""\udc00\ud83d\ude00\ud83d""#,
        r#"{"\ud800": "NaN"}"#,
    ];
    let nested = format!("{}NaN{}", "[".repeat(900), "]".repeat(900));
    let number = "9".repeat(500);
    for value in values.into_iter().chain([nested.as_str(), &number]) {
        let home = Home::new();
        let mut user = with_email(7, "a@example.com");
        user["fields"]["note"] = json!("@");
        let user = user.to_string().replace("\"@\"", value);
        let other = format!(
            r#"{{"model": "shop.price", "pk": 1, "fields": {{"rate": {value}, "x": [{value}]}}}}"#
        );
        let dump = format!(
            "[{other},\n{user},\n{other},\n{}]",
            with_email(7, "b@example.com")
        );
        let output = import(&home, &dump, &[]);
        let said = stdout(&output);
        assert!(
            said.starts_with("1 added, 0 updated, 0 unchanged, 1 skipped, 0 with"),
            "{value}: {said}"
        );
        assert_eq!(names(&home), [(7, "a@example.com".to_owned())]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("line 4, column 1, ID 7: the ID occurs more than once"),
            "{said}"
        );
    }
}

#[test]
fn user_with_values_that_are_not_json_is_skipped() {
    for (name, value, reason) in [
        ("email", "NaN", "the email is not text"),
        (
            "email",
            r#""\ud800@example.com""#,
            "the email contains a null character or a lone surrogate",
        ),
        ("password", "-Infinity", "the password cannot be verified"),
        (
            "password",
            r#""pbkdf2_sha256$\udc00""#,
            "the password cannot be verified",
        ),
        (
            "is_active",
            "Infinity",
            "is_active is neither true nor false",
        ),
        ("pk", "NaN", "the ID is not a whole number"),
        ("pk", r#""1\ud800""#, "is not a whole number"),
    ] {
        let home = Home::new();
        let mut user = with_email(7, "a@example.com");
        if name == "pk" {
            user["pk"] = json!("@");
        } else {
            user["fields"][name] = json!("@");
        }
        let user = user.to_string().replace("\"@\"", value);
        let dump = format!("[{user}, {}]", with_email(8, "b@example.com"));
        let output = import(&home, &dump, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason), "{name} {value}: {said}");
        assert_eq!(names(&home), [(8, "b@example.com".to_owned())]);
    }
    // A pair of surrogates is one character.
    let home = Home::new();
    let user = with_email(7, "@")
        .to_string()
        .replace("\"@\"", r#""\ud83d\ude00@example.com""#);
    stdout(&import(&home, format!("[{user}]"), &[]));
    assert_eq!(names(&home), [(7, "😀@example.com".to_owned())]);
}

/// The error contains the position and the model of the invalid value, and how to dump only the user model.
#[test]
fn error_in_another_model_names_the_model() {
    let user = with_email(7, "a@example.com").to_string();
    for (value, reason) in [
        (&b"nan"[..], "invalid JSON"),
        (b"\"\xe9\"", "the text is not UTF-8"),
        (b"\"\xed\xa0\x80\"", "the text is not UTF-8"),
        (b"\"\\x\"", "invalid JSON"),
    ] {
        let start =
            format!("[{user},\n{{\"model\": \"shop.price\", \"pk\": 1, \"fields\": {{\"rate\": ");
        let dump = [start.as_bytes(), value, b"}}]"].concat();
        let home = Home::new();
        let (code, said) = failure(&import(&home, dump, &[]));
        assert_eq!(code, 1);
        for part in [
            "dump.json: line 2, column ",
            reason,
            "the value belongs to the model shop.price",
            "manage.py dumpdata APP.MODEL",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// A Django service with `USE_TZ=False` writes local times.
#[test]
fn naive_times_are_read_in_the_given_time_zone() {
    let dump = json!([
        user(1, json!({
            "email": "a@example.com", "last_login": "2018-07-17T02:54:56.125", "date_joined": "2018-01-17 02:54:56",
        })),
        user(2, json!({
            "email": "b@example.com", "last_login": "2018-07-17T02:54:56Z", "date_joined": "2018-07-17T02:54:56+02:00",
        })),
    ])
    .to_string();
    let csv = "id,email,password,last_login,date_joined\n1,a@example.com,!,2018-07-17 02:54:56.125,2018-01-17 02:54:56\n\
               2,b@example.com,!,2018-07-17 02:54:56+00,2018-07-17 00:54:56Z\n";
    let warning = "2 times without a time zone, read as UTC";
    for (zone, last_login, created) in [
        (None, "2018-07-17T02:54:56.125Z", "2018-01-17T02:54:56Z"),
        (
            Some("UTC"),
            "2018-07-17T02:54:56.125Z",
            "2018-01-17T02:54:56Z",
        ),
        (
            Some("Europe/Berlin"),
            "2018-07-17T00:54:56.125Z",
            "2018-01-17T01:54:56Z",
        ),
        (
            Some("America/New_York"),
            "2018-07-17T06:54:56.125Z",
            "2018-01-17T07:54:56Z",
        ),
    ] {
        let flags: Vec<_> = zone.iter().flat_map(|zone| ["--time-zone", zone]).collect();
        for is_csv in [false, true] {
            let home = Home::new();
            let output = if is_csv {
                import_csv(&home, csv, &flags)
            } else {
                import(&home, &dump, &flags)
            };
            assert!(output.status.success(), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            let told = (
                said.matches(warning).count(),
                said.matches("--time-zone").count() > 0,
            );
            assert_eq!(
                told,
                if zone.is_none() {
                    (1, true)
                } else {
                    (0, false)
                },
                "{said}"
            );
            let accounts = accounts(&home);
            assert_eq!(accounts[0]["last_login"], last_login);
            assert_eq!(accounts[0]["created"], created);
            assert_eq!(accounts[1]["last_login"], "2018-07-17T02:54:56Z");
            assert_eq!(accounts[1]["created"], "2018-07-17T00:54:56Z");
        }
    }
    let home = Home::new();
    let report = stdout(&import(&home, &dump, &["--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["naive_times"], 2);
    let (code, said) = failure(&import(&home, &dump, &["--time-zone", "Berlin"]));
    assert_eq!(code, 2);
    assert!(
        said.contains("not an IANA time zone such as Europe/Berlin"),
        "{said}"
    );
}

#[test]
fn login_in_the_future_is_reported() {
    let home = Home::new();
    let dump = |id: i64, email: &str, last_login: &str| {
        json!([user(
            id,
            json!({ "email": email, "last_login": last_login })
        )])
        .to_string()
    };
    let future = "2999-01-01T00:00:00Z";
    let reason = "last_login is 2999-01-01T00:00:00Z, which is in the future, and was not imported";
    for (dump, flags, summary) in [
        (
            dump(1, "a@example.com", future),
            &[][..],
            "1 added, 0 updated, 0 unchanged, 0 skipped, 1 with",
        ),
        (
            dump(1, "a@example.com", future),
            &["--update"],
            "0 added, 0 updated, 1 unchanged, 0 skipped, 1 with",
        ),
        (
            dump(1, "b@example.com", future),
            &["--update"],
            "0 added, 1 updated, 0 unchanged, 0 skipped, 1 with",
        ),
    ] {
        let output = import(&home, dump, flags);
        let said = stdout(&output);
        assert!(said.starts_with(summary), "{said}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(&format!("warning: line 1, column 2, ID 1: {reason}")),
            "{said}"
        );
        assert_eq!(accounts(&home)[0]["last_login"], Value::Null);
    }
    // The two records exchange their emails, so they are imported at the end.
    stdout(&import(
        &home,
        dump(2, "a@example.com", "2018-10-17T00:54:56Z"),
        &[],
    ));
    let swapped = json!([
        user(1, json!({ "email": "a@example.com", "last_login": future })),
        with_email(2, "b@example.com"),
    ]);
    let report = stdout(&import(&home, swapped.to_string(), &["--update", "--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["updated"], 2, "{report}");
    assert_eq!(report["problems"][0]["reason"], reason, "{report}");
}

/// Returns the records of `count` users, each with a trailing comma.
fn users(from: i64, count: i64) -> String {
    (from..from + count).fold(String::new(), |mut list, id| {
        let _ = write!(
            list,
            "{},",
            with_email(id, &format!("user{id}@example.com"))
        );
        list
    })
}

/// Starts an import that has read thousands of accounts and is blocked until more input arrives.
fn start_partial_import(home: &Home) -> Child {
    let mut child = home
        .command(&["user", "import", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The input is larger than the buffers of the pipe and the import.
    let input = child.stdin.as_mut().unwrap();
    write!(input, "[{}", users(1, 10_000)).unwrap();
    child
}

#[test]
fn interrupted_import_leaves_accounts_unchanged() {
    let home = Home::new();
    stdout(&import(
        &home,
        json!([with_email(99_999, "here@example.com")]).to_string(),
        &[],
    ));
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let mut child = start_partial_import(&home);
        let id = child.id().to_string();
        let killed = Command::new("kill").args([signal, &id]).status();
        assert!(killed.unwrap().success());
        // The input stays open, so only the signal can stop the import.
        let input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), code);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            said.contains("interrupted: no changes were made"),
            code.is_some(),
            "{said}"
        );
        assert_eq!(names(&home), [(99_999, "here@example.com".to_owned())]);
    }
    // The next import succeeds.
    let mut child = start_partial_import(&home);
    let mut input = child.stdin.take().unwrap();
    write!(input, "{}]", with_email(20_000, "last@example.com")).unwrap();
    drop(input);
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(names(&home).len(), 10_002);
}

/// Opening a FIFO blocks until a writer opens the FIFO.
#[test]
fn import_blocked_on_a_fifo_stops_on_a_signal() {
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    let fifo = home.path().join("users.csv");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for (signal, args) in [
        ("-TERM", &["users.csv"][..]),
        ("-INT", &["users.csv"]),
        ("-TERM", &["users.csv", "--update", "--dry-run"]),
    ] {
        let mut child = home
            .command(&[&["user", "import"], args].concat())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = child.stderr.take().unwrap();
        let id = child.id().to_string();
        while !handles_signals(&id) {
            thread::yield_now();
        }
        let killed = Command::new("kill").args([signal, &id]).status();
        assert!(killed.unwrap().success());
        let (ended, end) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let status = child.wait().unwrap();
            let _ = ended.send(());
            status
        });
        if end.recv_timeout(Duration::from_secs(20)).is_err() {
            let killed = Command::new("kill").args(["-KILL", &id]).status();
            assert!(killed.unwrap().success());
        }
        assert_eq!(waiting.join().unwrap().code(), Some(130), "{signal}");
        let mut text = String::new();
        said.read_to_string(&mut text).unwrap();
        assert_eq!(text, "error: interrupted: no changes were made\n");
    }
    assert_eq!(names(&home), []);

    // With a writer, the import reads the FIFO like a regular file.
    let import = thread::spawn(move || home.run(&["user", "import", "users.csv"]));
    fs::write(&fifo, "id,email,password\n1,a@example.com,!\n").unwrap();
    let said = stdout(&import.join().unwrap());
    assert!(said.starts_with("1 added"), "{said}");
}

/// Returns whether a process handles SIGTERM and SIGINT, or has exited.
fn handles_signals(id: &str) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) else {
        return true;
    };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let both = 1 << (15 - 1) | 1 << (2 - 1);
    mask.is_none_or(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & both == both)
}

/// A dump with 20,000 accounts, or with two fields of 512 MiB, needs less than 10,000 KiB more memory than a dump with 2,000 accounts.
#[test]
fn memory_does_not_grow_with_the_dump() {
    let peak = |write_dump: &dyn Fn(&mut dyn Write)| {
        let home = Home::new();
        let mut child = home
            .command(&["user", "import", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        write_dump(&mut input);
        // The import has read everything except the contents of the pipe and the buffers.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        write!(input, "{}]", with_email(9_999_999, "last@example.com")).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
        peak
    };
    let few = peak(&|dump| write!(dump, "[{}", users(1, 2000)).unwrap());
    let many = peak(&|dump| {
        write!(dump, "[").unwrap();
        for thousands in 0..20 {
            dump.write_all(users(thousands * 1000 + 1, 1000).as_bytes())
                .unwrap();
        }
    });
    let large = peak(&|dump| {
        let megabyte = "x".repeat(1 << 20);
        write!(
            dump,
            r#"[{{"model":"app.file","pk":1,"fields":{{"content":""#
        )
        .unwrap();
        for _ in 0..512 {
            dump.write_all(megabyte.as_bytes()).unwrap();
        }
        write!(
            dump,
            r#""}}}},{{"model":"accounts.member","pk":1,"fields":{{"password":"!","email":""#
        )
        .unwrap();
        for _ in 0..512 {
            dump.write_all(megabyte.as_bytes()).unwrap();
        }
        write!(dump, r#""}}}},"#).unwrap();
    });
    for peak in [many, large] {
        assert!(peak < few + 10_000, "{few} KiB for a few, {peak} KiB");
    }
}

/// Creates a SQLite database with the user table of Django. Returns a connection and the URL.
async fn django(home: &Home) -> (sea_orm::DatabaseConnection, String) {
    let url = format!("sqlite:{}", home.path().join("django.sqlite3").display());
    let mut options = ConnectOptions::new(format!("{url}?mode=rwc"));
    options.max_connections(1);
    let db = Database::connect(options).await.unwrap();
    db.execute_unprepared(
        "CREATE TABLE auth_user (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, password varchar(128) NOT NULL, \
         last_login datetime NULL, is_superuser bool NOT NULL, username varchar(150) NOT NULL UNIQUE, \
         email varchar(254) NOT NULL, is_active bool NOT NULL, date_joined datetime NOT NULL)",
    )
    .await
    .unwrap();
    (db, url)
}

#[tokio::test]
async fn import_reads_the_user_table_of_a_django_database() {
    let home = Home::new();
    let (db, url) = django(&home).await;
    let from =
        |table: &str| home.run(&["user", "import", "--from-database", &url, "--table", table]);
    let (code, said) = failure(&from("auth_user"));
    assert_eq!(
        (code, said.contains("the table auth_user is empty")),
        (1, true),
        "{said}"
    );
    db.execute_unprepared(&format!(
        "INSERT INTO auth_user VALUES \
         (3, '{HASH}', '2018-10-17 00:54:56.125000', 0, 'jane', 'jane@example.com', 1, '2017-01-01 00:00:00'), \
         (5, '!', NULL, 0, 'e@example.com', '', 0, '2017-01-01 00:00:00'), \
         (6, 'md5$salt$118b8b6eefad3107891080e030514115', NULL, 0, 'old', 'old@example.com', 1, '2017-01-01 00:00:00')"
    ))
    .await
    .unwrap();
    let output = from("auth_user");
    assert_eq!(
        stdout(&output),
        "2 added, 0 updated, 0 unchanged, 1 skipped, 0 with a warning (pbkdf2_sha256 1, unusable 1)\n"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("skipped: row 3, ID 6: the password cannot be verified"),
        "{said}"
    );
    let accounts = accounts(&home);
    assert_eq!(accounts[0]["last_login"], "2018-10-17T00:54:56.125Z");
    assert_eq!(accounts[1]["email"], "e@example.com");

    let (_, said) = failure(&from("users"));
    assert!(said.contains("there is no table users"), "{said}");
    db.execute_unprepared("CREATE TABLE page (id integer, title text)")
        .await
        .unwrap();
    let (_, said) = failure(&from("page"));
    assert!(
        said.contains("the table page has no column password"),
        "{said}"
    );

    // Another process has locked the database.
    db.execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    let (code, said) = failure(&from("auth_user"));
    assert_eq!(code, 1);
    assert!(
        said.contains("database is locked")
            && said.contains("another process has locked the database"),
        "{said}"
    );
    db.execute_unprepared("ROLLBACK").await.unwrap();
}

/// The import does not create a missing source database, and its errors contain no password.
#[test]
fn import_rejects_unusable_source_databases() {
    let home = Home::new();
    let from = |url: &str| failure(&home.run(&["user", "import", "--from-database", url]));
    let (code, said) = from("sqlite:none.sqlite3");
    assert_eq!(
        (code, said.contains("the file none.sqlite3 does not exist")),
        (1, true),
        "{said}"
    );
    assert!(!home.path().join("none.sqlite3").exists());
    let (_, said) = from("sqlite:my%20data/none.sqlite3");
    assert!(
        said.contains("the file my data/none.sqlite3 does not exist"),
        "{said}"
    );
    fs::write(
        home.path().join("letter"),
        "a letter to my mother\n".repeat(100),
    )
    .unwrap();
    let (_, said) = from("sqlite:letter");
    assert!(said.contains("file is not a database"), "{said}");
    let (_, said) = from("mysql://root:hunter2@db/x");
    assert!(
        said.contains("or postgres://USER@HOST/DATABASE") && !said.contains("hunter2"),
        "{said}"
    );
    let (_, said) = from("postgres://django:hun/ter2@127.0.0.1:1/x");
    assert!(
        said.contains("write / as %2F") && !said.contains("ter2"),
        "{said}"
    );
    let (_, said) = from("postgres://django:hunter2@127.0.0.1:1/x");
    assert!(
        said.contains("check that the database server is running") && !said.contains("hunter2"),
        "{said}"
    );
}

/// After an import, unknown emails are rejected in the time that most imported accounts need.
#[test]
fn imported_accounts_can_log_in() {
    let home = Home::new();
    stdout(&import(&home, include_str!("django-dump.json"), &[]));
    let mut service: Service = home.serve(&[]);
    let matched = service.wait_for("dummy hash updated");
    assert_eq!(matched["scheme"], "pbkdf2_sha256");
    let login = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    assert_eq!(service.post(OBTAIN, &login).0, 200);
}
