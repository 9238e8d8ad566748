//! Imports with `--update` change accounts of earlier imports, revoke their tokens, and preserve local changes.

use std::{
    fmt::Write as _,
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use signet::accounts::{self, Account, ForcedFields, ImportOutcome, ImportRecord, UpdateEffects};
use time::OffsetDateTime;

use crate::{
    binary::{Home, failure, stdout},
    store::LIMITS,
    world::{NOW, World},
};

const EMAIL: &str = "you@example.com";
const REVOKED: &str = "Error decoding signature.";

/// Returns a record of account 1 with this email and password.
async fn record(world: &World, email: &str, password: &str) -> ImportRecord {
    let hash = world.auth.passwords.hash(password).await.unwrap();
    ImportRecord {
        id: 1,
        email: email.to_owned(),
        password: Some(hash),
        password_digest: password.to_owned(),
        without_password: None,
        is_active: true,
        created: None,
        last_login: None,
    }
}

async fn update_at(
    world: &World,
    record: ImportRecord,
    clock: &(dyn Fn() -> OffsetDateTime + Sync),
) -> ImportOutcome {
    let update = Some(ForcedFields::default());
    let mut import = world.auth.accounts.import(update, clock).await.unwrap();
    let (_, fate) = import.import(vec![record]).await.unwrap().remove(0);
    import.commit().await.unwrap();
    fate
}

async fn update(world: &World, record: ImportRecord) -> ImportOutcome {
    let now = world.now();
    update_at(world, record, &move || now).await
}

fn revoking() -> ImportOutcome {
    ImportOutcome::Updated(UpdateEffects {
        revoked: true,
        ..UpdateEffects::default()
    })
}

async fn account(world: &World) -> Account {
    world.account(1).await.unwrap()
}

#[tokio::test]
async fn update_of_password_or_email_revokes_earlier_tokens() {
    let world = World::new().await;
    let fate = update(&world, record(&world, EMAIL, "first").await).await;
    assert_eq!(fate, ImportOutcome::Added);
    assert_eq!(account(&world).await.tokens_valid_after, 0);

    // The password changes in the same second as the login.
    let before = world.obtain(EMAIL, "first").await.token();
    let fate = update(&world, record(&world, EMAIL, "second").await).await;
    assert_eq!(fate, revoking());
    world.refresh(&before).await.assert_refused(REVOKED);
    let after = world.obtain(EMAIL, "second").await.token();
    world.refresh(&after).await.token();
    assert_eq!(account(&world).await.tokens_valid_after, NOW + 1);

    // The email changes three times in the same second.
    for email in ["new@example.com", "NEW@example.com", EMAIL] {
        let fate = update(&world, record(&world, email, "second").await).await;
        assert_eq!(fate, revoking(), "{email}");
    }
    world.refresh(&after).await.assert_refused(REVOKED);
    assert_eq!(account(&world).await.tokens_valid_after, NOW + 4);

    // The clock was ahead during the login.
    world.set_clock(NOW + 100);
    let before = world.obtain(EMAIL, "second").await.token();
    world.set_clock(NOW + 50);
    update(&world, record(&world, EMAIL, "third").await).await;
    world.refresh(&before).await.assert_refused(REVOKED);
    assert_eq!(account(&world).await.tokens_valid_after, NOW + 101);
    let after = world.obtain(EMAIL, "third").await.token();
    world.refresh(&after).await.token();
}

#[tokio::test]
async fn update_that_changes_neither_password_nor_email_revokes_no_token() {
    let world = World::new().await;
    update(&world, record(&world, EMAIL, "first").await).await;
    let token = world.obtain(EMAIL, "first").await.token();
    // The same password with another hash, as after a login that replaced the hash.
    let same = record(&world, EMAIL, "first").await;
    let disabled = ImportRecord {
        is_active: false,
        ..same.clone()
    };
    let dated = ImportRecord {
        created: Some(world.now()),
        last_login: Some(world.now()),
        ..same.clone()
    };
    let without_password = ImportRecord {
        without_password: Some("its scheme is unknown".to_owned()),
        ..record(&world, EMAIL, "second").await
    };
    for (record, is_update) in [
        (same.clone(), false),
        (disabled, true),
        (same, true),
        (dated, false),
        (without_password, false),
    ] {
        let fate = update(&world, record).await;
        let effects = UpdateEffects::default();
        let expected = if is_update {
            ImportOutcome::Updated(effects)
        } else {
            ImportOutcome::Unchanged(effects)
        };
        assert_eq!(fate, expected);
    }
    world.refresh(&token).await.token();
    assert_eq!(account(&world).await.tokens_valid_after, 0);

    // Another mark of an unusable password revokes no token either. The account has no hash before and after the update.
    let unusable = |mark: &str| ImportRecord {
        id: 2,
        email: "b@example.com".to_owned(),
        password: None,
        password_digest: mark.to_owned(),
        without_password: None,
        is_active: true,
        created: None,
        last_login: None,
    };
    update(&world, unusable("!a")).await;
    let fate = update(&world, unusable("!b")).await;
    assert_eq!(fate, ImportOutcome::Unchanged(UpdateEffects::default()));
    // The account was created here, and the source has the same hash.
    world.add(3, "c@example.com", Some("third")).await;
    let account = world.account(3).await.unwrap();
    let added = ImportRecord {
        id: 3,
        email: account.email,
        password: account.password,
        ..unusable("c")
    };
    let fate = update(&world, added).await;
    assert_eq!(fate, ImportOutcome::Unchanged(UpdateEffects::default()));
}

/// A concurrent login has locked the account. The update must read the clock after it has acquired the lock.
#[tokio::test]
async fn update_reads_the_clock_after_it_has_locked_the_account() {
    let world = World::new().await;
    update(&world, record(&world, EMAIL, "first").await).await;
    let second = record(&world, EMAIL, "second").await;
    let other = accounts::open(&world.url, LIMITS).await.unwrap();
    let login = other.begin().await.unwrap();
    let record_login = "UPDATE users SET last_login_from = 'elsewhere'";
    login.execute_unprepared(record_login).await.unwrap();
    let is_committed = AtomicBool::new(false);
    let clock = || {
        let later = i64::from(is_committed.load(Ordering::SeqCst));
        OffsetDateTime::from_unix_timestamp(NOW + 5 * later).unwrap()
    };
    let release = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        is_committed.store(true, Ordering::SeqCst);
        login.commit().await.unwrap();
    };
    tokio::join!(update_at(&world, second, &clock), release);
    other.close().await.unwrap();
    assert_eq!(account(&world).await.tokens_valid_after, NOW + 6);
    let from = account(&world).await.last_login_from;
    assert_eq!(from.as_deref(), Some("elsewhere"));
}

/// Imports these accounts, each with a password that Django marks as unusable.
fn import(home: &Home, accounts: &[(i64, &str, bool)], flags: &[&str]) -> Value {
    let mut csv = "id,email,password,is_active\n".to_owned();
    for (id, email, is_active) in accounts {
        let _ = writeln!(csv, "{id},{email},!,{is_active}");
    }
    fs::write(home.path().join("users.csv"), csv).unwrap();
    let args = ["user", "import", "users.csv", "--json"];
    let report = stdout(&home.run(&[&args, flags].concat()));
    serde_json::from_str(&report).unwrap()
}

/// Returns the IDs, emails and states of all accounts.
fn accounts(home: &Home) -> Vec<(i64, String, bool)> {
    let list = stdout(&home.run(&["user", "list", "--json"]));
    let account = |it: &Value| {
        (
            it["id"].as_i64().unwrap(),
            it["email"].as_str().unwrap().to_owned(),
            it["is_active"].as_bool().unwrap(),
        )
    };
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    list.iter().map(account).collect()
}

fn assert_accounts(home: &Home, expected: &[(i64, &str, bool)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, email, is_active)| (*id, (*email).to_owned(), *is_active))
        .collect();
    assert_eq!(accounts(home), expected);
}

const SOURCE: [(i64, &str, bool); 3] = [
    (1, "a@x.com", true),
    (2, "b@x.com", true),
    (3, "c@x.com", false),
];

/// Imports three accounts. An operator then changes the state of the first account, the email of the second account, and both fields of the
/// third account.
fn changed_here() -> Home {
    let home = Home::new();
    import(&home, &SOURCE, &[]);
    stdout(&home.run(&["user", "disable", "a@x.com"]));
    stdout(&home.run(&["user", "set-email", "b@x.com", "here@x.com"]));
    stdout(&home.run(&["user", "enable", "c@x.com"]));
    stdout(&home.run(&["user", "set-email", "c@x.com", "C@x.com"]));
    home
}

const HERE: [(i64, &str, bool); 3] = [
    (1, "a@x.com", false),
    (2, "here@x.com", true),
    (3, "C@x.com", true),
];

#[test]
fn update_keeps_local_changes_and_reports_them() {
    let home = changed_here();
    let told = [
        (
            "1",
            "local change preserved: is_active is false here, true in the source",
        ),
        (
            "2",
            "local change preserved: email is \"here@x.com\" here, \"b@x.com\" in the source",
        ),
        (
            "3",
            "local change preserved: email is \"C@x.com\" here, \"c@x.com\" in the source",
        ),
        (
            "3",
            "local change preserved: is_active is true here, false in the source",
        ),
    ];
    for flags in [&["--update"][..], &["--update", "--dry-run"], &["--update"]] {
        let report = import(&home, &SOURCE, flags);
        assert_accounts(&home, &HERE);
        let problems = report["problems"].as_array().unwrap();
        let problems: Vec<_> = problems
            .iter()
            .map(|it| (it["id"].as_str().unwrap(), it["reason"].as_str().unwrap()))
            .collect();
        assert_eq!(problems, told);
        for (name, count) in [
            ("updated", 0),
            ("unchanged", 3),
            ("preserved", 3),
            ("revoked", 0),
        ] {
            assert_eq!(report[name], count, "{name}: {report}");
        }
    }
    let output = home.run(&["user", "import", "users.csv", "--update"]);
    assert_eq!(
        stdout(&output),
        "0 added, 0 updated, 3 unchanged, 0 skipped, 0 with a warning, 3 with a local change preserved\n"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    let line = format!("note: line 2, ID 1: {}\n", told[0].1);
    assert!(said.starts_with(&line), "{said}");
    // Without `--update`, the import does not compare existing accounts.
    stdout(&home.run(&["user", "set-email", "here@x.com", "b@x.com"]));
    let report = import(&home, &SOURCE, &[]);
    assert_eq!(
        (&report["preserved"], &report["unchanged"]),
        (&json!(0), &json!(3))
    );
}

#[test]
fn update_keeps_a_local_change_if_the_source_changes_too() {
    let home = changed_here();
    let source = [
        (1, "a2@x.com", true),
        (2, "b2@x.com", false),
        (3, "c@x.com", false),
        // Account 2 had this email before the local change.
        (4, "b@x.com", true),
    ];
    let report = import(&home, &source, &["--update"]);
    assert_eq!(
        (&report["added"], &report["updated"], &report["revoked"]),
        (&json!(1), &json!(2), &json!(1)),
        "{report}"
    );
    let expected = [
        (1, "a2@x.com", false),
        (2, "here@x.com", false),
        (3, "C@x.com", true),
        (4, "b@x.com", true),
    ];
    assert_accounts(&home, &expected);

    // An email of an account here is not available, even if the source has moved the email to another account.
    let source = [(2, "b2@x.com", false), (4, "here@x.com", true)];
    let report = import(&home, &source, &["--update"]);
    assert_eq!(report["skipped"], 1, "{report}");
    assert_accounts(&home, &expected);
}

#[test]
fn update_follows_the_source_after_both_agree() {
    let home = changed_here();
    // The source now has the local values of accounts 1 and 2. The operator has reverted the changes of account 3.
    stdout(&home.run(&["user", "set-email", "C@x.com", "c@x.com"]));
    stdout(&home.run(&["user", "disable", "c@x.com"]));
    let agreed = [
        (1, "a@x.com", false),
        (2, "here@x.com", true),
        (3, "c@x.com", false),
    ];
    let report = import(&home, &agreed, &["--update"]);
    assert_eq!(
        (&report["unchanged"], &report["preserved"]),
        (&json!(3), &json!(0))
    );
    let source = [
        (1, "a@x.com", true),
        (2, "b2@x.com", true),
        (3, "c2@x.com", true),
    ];
    let report = import(&home, &source, &["--update"]);
    assert_eq!(
        (&report["updated"], &report["preserved"]),
        (&json!(3), &json!(0))
    );
    assert_accounts(&home, &source);
}

#[test]
fn force_fields_overwrites_local_changes() {
    for (fields, expected, revoked) in [
        (
            "is_active",
            [
                (1, "a@x.com", true),
                (2, "here@x.com", true),
                (3, "C@x.com", false),
            ],
            0,
        ),
        (
            "email",
            [
                (1, "a@x.com", false),
                (2, "b@x.com", true),
                (3, "c@x.com", true),
            ],
            2,
        ),
        ("is_active,email", SOURCE, 2),
    ] {
        let home = changed_here();
        let flags = ["--update", "--force-fields", fields];
        let report = import(&home, &SOURCE, &flags);
        assert_accounts(&home, &expected);
        assert_eq!(report["revoked"], revoked, "{fields}: {report}");
        let again = import(&home, &SOURCE, &flags);
        assert_eq!(again["unchanged"], 3, "{fields}: {again}");
    }
    let home = Home::new();
    for args in [
        &["--force-fields", "email"][..],
        &["--update", "--force-fields", "password"],
    ] {
        let args = [&["user", "import", "users.csv"], args].concat();
        assert_eq!(failure(&home.run(&args)).0, 2, "{args:?}");
    }
}

/// The accounts were imported before the database stored the imported values.
#[test]
fn migration_stores_the_fields_of_imported_accounts() {
    let home = Home::new();
    import(&home, &SOURCE, &[]);
    let add = ["user", "create", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    stdout(&home.run(&["migrate", "down", "--yes"]));
    stdout(&home.run(&["migrate"]));
    stdout(&home.run(&["user", "disable", "a@x.com"]));
    stdout(&home.run(&["user", "disable", EMAIL]));
    let source = [
        (1, "a@x.com", true),
        (2, "b2@x.com", true),
        (4, EMAIL, true),
    ];
    let report = import(&home, &source, &["--update"]);
    assert_eq!(
        (&report["preserved"], &report["updated"]),
        (&json!(2), &json!(2))
    );
    // Account 4 was created here and never imported. The update changes the account, but does not enable it.
    let expected = [
        (1, "a@x.com", false),
        (2, "b2@x.com", true),
        (3, "c@x.com", false),
        (4, EMAIL, false),
    ];
    assert_accounts(&home, &expected);
}

/// An account that was never imported has no imported values to compare with.
#[test]
fn update_does_not_enable_account_disabled_before_its_first_import() {
    let home = Home::new();
    let add = ["user", "create", EMAIL, "--id", "1", "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    stdout(&home.run(&["user", "disable", EMAIL]));
    let report = import(&home, &[(1, EMAIL, true)], &["--update"]);
    assert!(report.to_string().contains("is_active"), "{report}");
    assert_accounts(&home, &[(1, EMAIL, false)]);
    import(
        &home,
        &[(1, EMAIL, true)],
        &["--update", "--force-fields", "is_active"],
    );
    assert_accounts(&home, &[(1, EMAIL, true)]);
}
