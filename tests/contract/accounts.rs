//! Accounts: what logging in, changing and ending them does to their tokens.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, TransactionTrait};
use serde_json::json;
use signet::{
    accounts::{self, Account, ChangeError, NewAccount, PasswordHash},
    auth::{Argon2Params, PasswordHasher},
};

use crate::{
    store::LIMITS,
    world::{CHEAP, GENEROUS, NOW, OBTAIN, Setup, World},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";
const NO_LOGIN: &str = "Unable to log in with provided credentials.";

#[tokio::test]
async fn whoever_may_not_log_in_is_told_the_same() {
    let world = World::new().await;
    world.add_documented().await;
    world.add(2, "unusable@example.com", None).await;
    world.add(3, "disabled@example.com", Some(PASSWORD)).await;
    world.auth.users.set_active(3, false).await.unwrap();

    let unknown = world.obtain("nobody@example.com", PASSWORD).await;
    unknown.assert_refused(NO_LOGIN);
    for (email, password) in [
        (EMAIL, "wrong"),
        (EMAIL, " 1234ABCD"),
        (EMAIL, "1234abcd"),
        ("unusable@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("disabled@example.com", "wrong"),
    ] {
        let answer = world.obtain(email, password).await;
        assert_eq!(
            (answer.status, &answer.text),
            (unknown.status, &unknown.text),
            "{email}"
        );
    }
}

/// Every change that ends tokens ends them in its own second too, and the next login is good at once.
#[tokio::test]
async fn a_cut_ends_what_was_issued_before_and_nothing_after() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let users = &world.auth.users;

    let before = world.token().await;
    users.revoke(account.id, || world.now()).await.unwrap();
    world
        .refresh(&before)
        .await
        .assert_refused("Error decoding signature.");
    let after = world.token().await;
    world.refresh(&after).await.token();

    let hash = world.auth.passwords.hash("another one").await.unwrap();
    world.set_clock(NOW + 10);
    let before = world.token().await;
    users
        .set_password(account.id, hash, || world.now())
        .await
        .unwrap();
    world
        .refresh(&before)
        .await
        .assert_refused("Error decoding signature.");
    world.obtain(EMAIL, PASSWORD).await.assert_refused(NO_LOGIN);
    let after = world.obtain(EMAIL, "another one").await.token();
    world.refresh(&after).await.token();

    users
        .set_email(account.id, "new@example.com".to_owned(), || world.now())
        .await
        .unwrap();
    world
        .refresh(&after)
        .await
        .assert_refused("User doesn't exist.");
    users
        .set_email(account.id, EMAIL.to_owned(), || world.now())
        .await
        .unwrap();
    world
        .refresh(&after)
        .await
        .assert_refused("Error decoding signature.");
    let after = world.obtain(EMAIL, "another one").await.token();
    world.refresh(&after).await.token();
}

/// Another process, which is writing to every account.
async fn other_writer(world: &World) -> DatabaseTransaction {
    let other = accounts::open(&world.url, LIMITS).await.unwrap();
    let writing = other.begin().await.unwrap();
    let change = "UPDATE users SET is_active = is_active";
    writing.execute_unprepared(change).await.unwrap();
    writing
}

/// Whoever logs in while a change waits for its turn is ended with the rest.
#[tokio::test]
async fn a_cut_is_made_when_it_is_written_and_not_when_it_was_asked_for() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let users = &world.auth.users;
    for all in [false, true] {
        world.set_clock(NOW);
        let writing = other_writer(&world).await;
        let is_free = AtomicBool::new(false);
        let now = || {
            assert!(is_free.load(Ordering::SeqCst), "too early");
            world.now()
        };
        let revoke = async {
            if all {
                users.revoke_all(now).await.unwrap();
            } else {
                users.revoke(account.id, now).await.unwrap();
            }
        };
        let release = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            world.set_clock(NOW + 5 + i64::from(all));
            is_free.store(true, Ordering::SeqCst);
            writing.rollback().await.unwrap();
        };
        tokio::join!(revoke, release);
        let account = world.account(account.id).await.unwrap();
        assert_eq!(account.tokens_valid_after, NOW + 6 + i64::from(all));
    }

    // A login by a clock that was ahead is ended, too, whatever logins come after it.
    world.set_clock(NOW + 100);
    let token = world.token().await;
    world.set_clock(NOW + 50);
    world.token().await;
    users.revoke(account.id, || world.now()).await.unwrap();
    world
        .refresh(&token)
        .await
        .assert_refused("Error decoding signature.");

    // So is it by a revocation of all.
    world.set_clock(NOW + 200);
    let token = world.token().await;
    world.set_clock(NOW + 150);
    world.token().await;
    assert_eq!(users.revoke_all(|| world.now()).await.unwrap(), 1);
    let refused = world.refresh(&token).await;
    refused.assert_refused("Error decoding signature.");
}

#[tokio::test]
async fn disabling_stops_tokens_and_enabling_lets_them_go_on() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let token = world.token().await;

    world
        .auth
        .users
        .set_active(account.id, false)
        .await
        .unwrap();
    world
        .refresh(&token)
        .await
        .assert_refused("User account is disabled.");
    world.obtain(EMAIL, PASSWORD).await.assert_refused(NO_LOGIN);

    world.auth.users.set_active(account.id, true).await.unwrap();
    world.refresh(&token).await.token();
}

#[tokio::test]
async fn a_login_is_recorded_and_a_failed_one_is_not() {
    let world = World::new().await;
    world.add_documented().await;
    world.obtain(EMAIL, "wrong").await.assert_refused(NO_LOGIN);
    let last_login = async || world.account(1).await.unwrap().last_login;
    assert_eq!(last_login().await, None);

    world.set_clock(NOW + 5);
    world.token().await;
    assert_eq!(last_login().await, Some(world.now()));
}

/// Whether nothing is issued for the account as it was verified.
async fn is_overtaken(world: &World, verified: &Account) -> bool {
    let login = world.auth.users.record_login(verified, world.now(), None);
    !login.await.unwrap()
}

/// What is verified while the account changes must not be issued for what it was before.
#[tokio::test]
async fn a_login_that_was_overtaken_by_a_change_gets_nothing() {
    let world = World::new().await;
    let verified = world.add_documented().await;
    let users = &world.auth.users;

    let rehashed = world.auth.passwords.hash(PASSWORD).await.unwrap();
    users.rehash(&verified, rehashed).await.unwrap();
    assert!(!is_overtaken(&world, &verified).await);

    world.set_clock(NOW + 1);
    let hash = world.auth.passwords.hash("another one").await.unwrap();
    users.set_password(1, hash, || world.now()).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);

    let verified = world.account(1).await.unwrap();
    users.set_active(1, false).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);
}

#[tokio::test]
async fn a_login_that_was_overtaken_by_another_e_mail_or_a_cut_gets_nothing() {
    let world = World::new().await;
    let users = &world.auth.users;
    let verified = world.add_documented().await;
    users.revoke(1, || world.now()).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);

    let verified = world.account(1).await.unwrap();
    let new = "new@example.com".to_owned();
    users.set_email(1, new, || world.now()).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);
}

#[tokio::test]
async fn a_hash_of_another_cost_is_replaced_once_and_ends_nothing() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let token = world.token().await;
    let dearer = Argon2Params {
        iterations: 2,
        ..CHEAP
    };
    let imported = PasswordHasher::new(dearer, GENEROUS)
        .unwrap()
        .hash(PASSWORD)
        .await
        .unwrap();
    world
        .auth
        .users
        .rehash(&account, imported.clone())
        .await
        .unwrap();

    let stored = async || world.account(1).await.unwrap().password.unwrap();
    world.obtain(EMAIL, "wrong").await.assert_refused(NO_LOGIN);
    assert_eq!(
        stored().await,
        imported,
        "a wrong password rehashes nothing"
    );
    world.token().await;
    let current = stored().await;
    assert!(
        current.0.starts_with("$argon2id$v=19$m=32,t=1,p=1$"),
        "{}",
        current.0
    );
    world.token().await;
    assert_eq!(stored().await, current);
    world.refresh(&token).await.token();
}

/// What Django makes by default is dear, and taken.
#[tokio::test]
async fn a_hash_at_django_s_cost_is_verified_once() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let django = Argon2Params {
        memory_kib: 102_400,
        iterations: 2,
        parallelism: 8,
    };
    let imported = PasswordHasher::new(django, GENEROUS)
        .unwrap()
        .hash(PASSWORD)
        .await
        .unwrap();
    world.auth.users.rehash(&account, imported).await.unwrap();
    world.obtain(EMAIL, "wrong").await.assert_refused(NO_LOGIN);
    world.token().await;
    let stored = world.account(1).await.unwrap().password.unwrap();
    assert!(
        stored.0.starts_with("$argon2id$v=19$m=32,t=1,p=1$"),
        "{}",
        stored.0
    );
}

#[tokio::test]
async fn a_new_password_costs_what_the_contract_says() {
    let world = World::at_cost(Argon2Params {
        memory_kib: 19_456,
        iterations: 2,
        parallelism: 1,
    })
    .await;
    let account = world.add_documented().await;
    let hash = account.password.unwrap().0;
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
    world.token().await;
}

#[tokio::test]
async fn a_hash_that_cannot_be_read_is_as_good_as_none() {
    let world = World::new().await;
    for (id, hash) in [
        "",
        "rubbish",
        "$argon2id$v=19$m=7,t=0,p=0$c2FsdHNhbHQ$aGFzaA",
        "$scrypt$ln=1$c2FsdA$aGFzaA",
        // Readable, but of a cost that would stop the service.
        "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=64,t=1000000,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("user{id}@example.com");
        let password = Some(PasswordHash(hash.to_owned()));
        let account = NewAccount {
            id: None,
            email: email.clone(),
            password,
        };
        world.auth.users.add(account, world.now()).await.unwrap();
        world
            .obtain(&email, PASSWORD)
            .await
            .assert_refused(NO_LOGIN);
    }
}

/// Another process that writes for too long is an outage, not a bug of ours, and readers go on.
#[tokio::test]
async fn a_locked_database_is_told_as_temporary() {
    let world = World::of(Setup {
        patience: Duration::from_millis(200),
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let token = world.token().await;
    let writing = other_writer(&world).await;

    let answer = world.obtain(EMAIL, PASSWORD).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, Some("5"))
    );
    world.refresh(&token).await.token();
    writing.rollback().await.unwrap();
    world.token().await;
}

/// However many logins wait for another writer, some connections are for those who only read.
#[tokio::test]
async fn refreshes_go_on_while_logins_wait_to_be_written() {
    let world = World::of(Setup {
        patience: Duration::from_secs(2),
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let token = world.token().await;
    let writing = other_writer(&world).await;

    let logins = async {
        let logins = (0..16).map(|_| world.obtain(EMAIL, PASSWORD));
        futures_util::future::join_all(logins).await
    };
    let refreshes = async {
        // Until every login that gets a connection has one.
        for _ in 0..200 {
            tokio::task::yield_now().await;
            world.refresh(&token).await.token();
        }
        writing.rollback().await.unwrap();
    };
    let (logins, ()) = tokio::join!(logins, refreshes);
    for answer in logins {
        assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
}

/// They share their queries, and nothing else.
#[tokio::test]
async fn each_of_many_refreshes_at_once_is_told_of_its_own_account() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    for id in 1..=100 {
        let email = format!("user{id}@example.com");
        world.add(id, &email, Some(PASSWORD)).await;
        tokens.push(world.obtain(&email, PASSWORD).await.token());
    }
    world.auth.users.set_active(3, false).await.unwrap();
    world.auth.users.delete(5).await.unwrap();

    let refreshes = tokens.iter().map(|token| world.refresh(token));
    let answers = futures_util::future::join_all(refreshes).await;
    for ((answer, token), id) in answers.iter().zip(&tokens).zip(1..) {
        match id {
            3 => answer.assert_refused("User account is disabled."),
            5 => answer.assert_refused("User doesn't exist."),
            // In the second of its issue, a token is refreshed to itself.
            _ => assert_eq!(answer.token(), *token),
        }
    }
}

/// Only SQLite lets a column hold what is not of its type.
#[tokio::test]
async fn a_row_that_cannot_be_read_fails_its_own_refreshes_alone() {
    let world = World::new().await;
    if world.db.get_database_backend() != DbBackend::Sqlite {
        return;
    }
    world.add_documented().await;
    world.add(2, "other@example.com", Some(PASSWORD)).await;
    let good = world.token().await;
    let bad = world.obtain("other@example.com", PASSWORD).await.token();
    let spoil = "UPDATE users SET tokens_valid_after = 'soon' WHERE id = 2";
    world.db.execute_unprepared(spoil).await.unwrap();

    let (good, bad) = tokio::join!(world.refresh(&good), world.refresh(&bad));
    assert_eq!(bad.status, 500);
    assert_eq!(good.status, 200);
}

#[tokio::test]
async fn e_mails_and_ids_are_unique_and_never_come_back() {
    let world = World::new().await;
    world.add(5, "CaseUser@example.com", Some(PASSWORD)).await;
    let users = &world.auth.users;
    let add = async |id, email: &str| {
        let account = NewAccount {
            id,
            email: email.to_owned(),
            password: None,
        };
        users.add(account, world.now()).await
    };

    assert!(matches!(
        add(None, "caseuser@EXAMPLE.com").await,
        Err(ChangeError::EmailTaken)
    ));
    assert!(matches!(
        add(Some(5), "new@example.com").await,
        Err(ChangeError::IdTaken)
    ));
    assert_eq!(add(None, "six@example.com").await.unwrap().id, 6);

    users.delete(6).await.unwrap();
    assert!(matches!(users.delete(6).await, Err(ChangeError::NoAccount)));
    assert!(matches!(
        add(Some(6), "again@example.com").await,
        Err(ChangeError::IdTaken)
    ));
    assert_eq!(add(None, "again@example.com").await.unwrap().id, 7);
    assert_eq!(
        add(Some(1_i64 << 40), "far@example.com").await.unwrap().id,
        1 << 40
    );
    assert_eq!(
        add(None, "next@example.com").await.unwrap().id,
        (1 << 40) + 1
    );
    assert_eq!(
        add(Some(i64::MAX), "last@example.com").await.unwrap().id,
        i64::MAX
    );
    assert!(matches!(
        add(None, "none@example.com").await,
        Err(ChangeError::NoIdLeft(i64::MAX))
    ));

    let taken = users
        .set_email(7, "CASEUSER@example.com".to_owned(), || world.now())
        .await;
    assert!(matches!(taken, Err(ChangeError::EmailTaken)));
    let gone = users
        .set_email(99, "x@example.com".to_owned(), || world.now())
        .await;
    assert!(matches!(gone, Err(ChangeError::NoAccount)));
}

#[tokio::test]
async fn the_claims_carry_the_e_mail_as_stored() {
    let world = World::new().await;
    world.add(3, "CaseUser@example.com", Some(PASSWORD)).await;
    let asked = json!({ "email": "\u{3000}caseuser@EXAMPLE.com\n", "password": PASSWORD });
    let exact = world.obtain("CaseUser@example.com", PASSWORD).await.token();
    assert_eq!(world.post(OBTAIN, &asked).await.token(), exact);
}
