//! `signet doctor`: its output for a valid installation, and for each problem that it detects.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::Output,
};

use sea_orm::ConnectionTrait;
use serde_json::Value;
use signet::{accounts, auth::Clock};

use crate::{
    binary::{Home, failure, stdout},
    store::LIMITS,
};

/// A strong secret, for tests that check other subjects.
const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Returns the status of a check, and its message with its hint.
fn found(output: &Output, name: &str) -> (String, String) {
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("the check {name} is missing in {output:?}"));
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message") + "; " + &text("hint"))
}

fn assert_found(output: &Output, subject: &str, status: &str, part: &str) {
    let (found, said) = found(output, subject);
    assert!(
        found == status && said.contains(part),
        "{subject} is {found}: {said}"
    );
}

const DOCTOR: [&str; 2] = ["doctor", "--json"];

#[test]
fn valid_installation_passes() {
    let home = Home::new();
    stdout(&home.feed(
        &["user", "create", "you@example.com", "--password-stdin"],
        "correct horse\n",
    ));
    let mut command = home.command(&DOCTOR);
    // `doctor` classifies the default secret of the tests as a warning.
    command.env("SIGNET_JWT_SECRET", SECRET);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for subject in [
        "configuration",
        "database",
        "migrations",
        "clock",
        "secret",
        "files",
        "connections",
    ] {
        let (status, said) = found(&output, subject);
        assert_eq!(status, "ok", "{subject}: {said}");
    }
    assert!(found(&output, "migrations").1.contains("7 applied"));
    // The tests use a low hash cost, and `doctor` must detect it.
    assert_found(&output, "hashing", "warning", "logins per second");
    let text = stdout(
        &home
            .command(&["doctor"])
            .env("SIGNET_JWT_SECRET", SECRET)
            .output()
            .unwrap(),
    );
    assert!(
        text.contains("ok\tmigrations\t7 applied, none pending\t\n"),
        "{text}"
    );
}

#[test]
fn default_hash_cost_is_measured() {
    let home = Home::on_sqlite();
    let mut command = home.command(&DOCTOR);
    command
        .env_remove("SIGNET_ARGON2_MEMORY_KIB")
        .env_remove("SIGNET_ARGON2_ITERATIONS");
    command.env("SIGNET_HASHING_MEMORY_KIB", "20000");
    let output = command.output().unwrap();
    // The limit of 20000 KiB allows one hash of 19456 KiB at a time.
    assert_found(&output, "hashing", "ok", "1 concurrent");
    assert_found(&output, "hashing", "ok", "with 19 MiB");
}

#[test]
fn missing_database_and_secret_are_reported_and_not_created() {
    let home = Home::on_sqlite();
    let output = home.run(&DOCTOR);
    assert!(output.status.success(), "{output:?}");
    assert_found(&output, "database", "warning", "signet migrate");
    assert_found(&output, "secret", "warning", "no secret yet");
    assert!(!home.path().join("data").exists());
}

#[test]
fn database_that_cannot_be_opened_is_reported() {
    let home = Home::on_sqlite();
    fs::create_dir(home.path().join("data")).unwrap();
    fs::write(
        home.path().join("data/signet.db"),
        "this is no database, but a text",
    )
    .unwrap();
    let output = home.run(&DOCTOR);
    let (code, said) = failure(&output);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("1 check failed"), "{said}");
    assert_found(&output, "database", "error", "data/signet.db");

    let output = home
        .command(&DOCTOR)
        .env("SIGNET_DATABASE_WAIT", "1s")
        .env(
            "SIGNET_DATABASE_URL",
            "postgres://signet:hunter2@127.0.0.1:1/signet",
        )
        .env("SIGNET_JWT_SECRET", SECRET)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_found(&output, "database", "error", "127.0.0.1");
    assert!(!format!("{output:?}").contains("hunter2"));
}

#[test]
fn pending_migration_is_reported() {
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    stdout(&home.run(&["migrate", "down"]));
    let output = home.run(&DOCTOR);
    assert_found(
        &output,
        "migrations",
        "warning",
        "m20261129_000007_expand_served_keys",
    );
}

#[tokio::test]
async fn clock_earlier_than_a_stored_login_is_reported() {
    let home = Home::new();
    stdout(&home.feed(
        &["user", "create", "you@example.com", "--password-stdin"],
        "correct horse\n",
    ));
    let db = accounts::open(&home.database(), LIMITS).await.unwrap();
    // `created` may be imported unchanged. A local time that the import reads as UTC may be in the future.
    let change = "UPDATE users SET created = '2099-01-01 00:00:00+00:00'";
    db.execute_unprepared(change).await.unwrap();
    assert_found(&home.run(&DOCTOR), "clock", "ok", "");
    let change = "UPDATE users SET last_login = '2099-01-01 00:00:00+00:00'";
    db.execute_unprepared(change).await.unwrap();
    db.close().await.unwrap();
    let output = home.run(&DOCTOR);
    assert_eq!(output.status.code(), Some(1));
    assert_found(
        &output,
        "clock",
        "error",
        "is before the last login of an account, 2099-01-01",
    );
    assert_found(&output, "clock", "error", "NTP");
    assert_found(&output, "clock", "error", "set `last_login` to NULL");
}

#[tokio::test]
async fn stored_instants_ahead_of_the_clock_are_reported() {
    let home = Home::new();
    for email in ["you@example.com", "me@example.com"] {
        let add = ["user", "create", email, "--password-stdin"];
        stdout(&home.feed(&add, "correct horse\n"));
    }
    stdout(&home.run(&["user", "revoke-tokens", "--all"]));
    let change = async |sql: &str| {
        let db = accounts::open(&home.database(), LIMITS).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    };
    let now = Clock::system().now().unix_timestamp();
    let insert = async |subject: &str, seconds: i64| {
        change(&format!(
            "INSERT INTO attempts (subject, settled_at) VALUES ('{subject}', {})",
            (now + seconds) * 1000
        ))
        .await;
    };
    // The service stores counts at most four periods of 15 minutes ahead, which is 3600 seconds.
    insert("account:a", 3500).await;
    insert("address:192.0.2.1", 3500).await;
    let output = home.run(&DOCTOR);
    assert_found(&output, "cutoffs", "ok", "no cutoff is in the future");
    assert_found(&output, "rate limits", "ok", "no counter is in the future");

    insert("known:a:192.0.2.1", 3700).await;
    insert("garbage:192.0.2.1", 86_400 * 365).await;
    change(&format!(
        "UPDATE users SET tokens_valid_after = {} WHERE id = 2",
        now + 86_400 * 365
    ))
    .await;
    let output = home.run(&DOCTOR);
    assert!(output.status.success(), "{output:?}");
    assert_found(
        &output,
        "rate limits",
        "warning",
        "2 counters too far in the future",
    );
    assert_found(&output, "rate limits", "warning", "signet user unlock");
    assert_found(
        &output,
        "cutoffs",
        "warning",
        "1 account with a cutoff in the future",
    );
    assert_found(&output, "cutoffs", "warning", "signet user list");
}

#[test]
fn weak_secret_is_reported_and_not_printed() {
    let home = Home::on_sqlite();
    for (secret, doubt) in [
        (
            "hunter2hunter2hunter2hunter2hunter2",
            "few different characters",
        ),
        (
            "django-insecure-hunter2-9f86d081884c7d659a2feaa0c",
            "contains a word",
        ),
        (
            "Change_Me-hunter2-9f86d081884c7d659a2feaa0c",
            "contains a word",
        ),
    ] {
        let output = home
            .command(&DOCTOR)
            .env("SIGNET_JWT_SECRET", secret)
            .output()
            .unwrap();
        assert_found(&output, "secret", "warning", doubt);
        assert!(!format!("{output:?}").contains("hunter2"));
    }
    let output = home
        .command(&DOCTOR)
        .env("SIGNET_JWT_SECRET", "hunter2")
        .output()
        .unwrap();
    assert_found(&output, "secret", "error", "too short");
    // A secret of 128 random bits is strong enough in hexadecimal and in base64.
    for secret in [
        "0f3a9be17cd2846550bb91e4a7f3c6d2",
        "q8/ZrT0v1xN3bYw5kJm7Lg==",
    ] {
        let secret = format!("{secret}{}", &SECRET[..8]);
        let output = home
            .command(&DOCTOR)
            .env("SIGNET_JWT_SECRET", secret)
            .output()
            .unwrap();
        assert_found(&output, "secret", "ok", "bytes");
    }
    let past = format!("2020-01-01T00:00:00Z {SECRET}");
    let mut command = home.command(&DOCTOR);
    command
        .env("SIGNET_JWT_SECRET", SECRET)
        .env("SIGNET_JWT_PREVIOUS_SECRETS", past);
    assert_found(
        &command.output().unwrap(),
        "secret",
        "warning",
        "previous secrets have expired",
    );
}

#[test]
fn files_that_other_users_can_read_are_reported() {
    let home = Home::on_sqlite();
    stdout(&home.run(&["migrate"]));
    fs::write(home.path().join("secret"), SECRET).unwrap();
    let config = format!("jwt_previous_secrets = '{SECRET}'\njwt_secret_file = 'secret'\n");
    fs::write(home.path().join("signet.toml"), config).unwrap();
    let set = |name: &str, mode| {
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let look = || home.run(&["doctor", "--json", "--config", "signet.toml"]);
    for name in ["secret", "signet.toml", "data/signet.db"] {
        set(name, 0o600);
    }
    assert_found(&look(), "files", "ok", "3 files with secrets");
    for name in ["secret", "signet.toml", "data/signet.db"] {
        set(name, 0o644);
        assert_found(
            &look(),
            "files",
            "warning",
            &format!("{name} can be read or changed by all users"),
        );
        // The group of the service may read the file.
        set(name, 0o640);
        assert_found(&look(), "files", "ok", "");
        set(name, 0o600);
    }
    // Files of other users and groups need root, because only root can change the owner.
    let give = |name: &str, user, group| chown(home.path().join(name), Some(user), Some(group));
    if give("secret", 0, 12_345).is_ok() {
        set("secret", 0o640);
        assert_found(&look(), "files", "warning", "by a group of other users");
        set("secret", 0o600);
        give("data/signet.db", 12_345, 0).unwrap();
        assert_found(
            &look(),
            "files",
            "warning",
            "data/signet.db belongs to another user",
        );
    }
}

#[test]
fn certificate_is_checked_for_its_validity_period() {
    let home = Home::on_sqlite();
    let now = Clock::system().now();
    let look = |key| {
        home.command(&DOCTOR)
            .env("SIGNET_TLS_CERTIFICATE", "cert.pem")
            .env("SIGNET_TLS_KEY", key)
            .output()
            .unwrap()
    };
    for (first, last, status, part) in [
        (-100, -1, "error", "expired at"),
        (-100, 3, "warning", "expires soon"),
        (-100, 90, "ok", "valid until"),
        (1, 90, "error", "not valid before"),
    ] {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = now + time::Duration::days(first);
        params.not_after = now + time::Duration::days(last);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(home.path().join("cert.pem"), certificate.pem()).unwrap();
        fs::write(home.path().join("key.pem"), key.serialize_pem()).unwrap();
        let output = look("key.pem");
        assert_found(&output, "certificate", status, part);
    }
    let output = look("cert.pem");
    assert_found(
        &output,
        "certificate",
        "error",
        "cannot read the key in cert.pem",
    );
}

#[test]
fn file_limit_below_the_connection_limit_is_reported() {
    let home = Home::on_sqlite();
    let doctor = home.command(&DOCTOR);
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 256; exec \"$0\" doctor --json"])
        .arg(doctor.get_program())
        .current_dir(home.path())
        .env_clear()
        .env("SIGNET_CONFIG", "/dev/null")
        .output()
        .unwrap();
    assert_found(&output, "connections", "warning", "for 16384 connections");
}
