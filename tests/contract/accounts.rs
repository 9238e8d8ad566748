//! Logins, and the effects of account changes on tokens.

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
    signing_keys::as_hs256,
    store::LIMITS,
    world::{CHEAP, GENEROUS, NOW, OBTAIN, Setup, World},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";
const NO_LOGIN: &str = "Unable to log in with provided credentials.";

#[tokio::test]
async fn rejected_logins_get_the_same_response() {
    let world = World::new().await;
    world.add_documented().await;
    world.add(2, "unusable@example.com", None).await;
    world.add(3, "disabled@example.com", Some(PASSWORD)).await;
    world.auth.accounts.set_active(3, false).await.unwrap();

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

/// A revocation also rejects tokens that were issued earlier in the same second. A login in the same second after the revocation gets a
/// valid token.
#[tokio::test]
async fn changes_revoke_earlier_tokens_and_no_later_tokens() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let accounts = &world.auth.accounts;

    let before = world.token().await;
    accounts.revoke(account.id, || world.now()).await.unwrap();
    world
        .refresh(&before)
        .await
        .assert_refused("Error decoding signature.");
    let after = world.token().await;
    world.refresh(&after).await.token();

    let hash = world.auth.passwords.hash("another one").await.unwrap();
    world.set_clock(NOW + 10);
    let before = world.token().await;
    accounts
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

    accounts
        .set_email(account.id, "new@example.com".to_owned(), || world.now())
        .await
        .unwrap();
    world
        .refresh(&after)
        .await
        .assert_refused("User doesn't exist.");
    accounts
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

/// Starts a transaction on another connection pool, as another process would. The transaction locks every account.
async fn other_writer(world: &World) -> DatabaseTransaction {
    let other = accounts::open(&world.url, LIMITS).await.unwrap();
    let writing = other.begin().await.unwrap();
    let change = "UPDATE users SET is_active = is_active";
    writing.execute_unprepared(change).await.unwrap();
    writing
}

/// If a login finishes while a revocation waits for the lock, the revocation also revokes the token of this login.
#[tokio::test]
async fn revocation_reads_the_clock_after_it_has_the_lock() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let accounts = &world.auth.accounts;
    for all in [false, true] {
        world.set_clock(NOW);
        let writing = other_writer(&world).await;
        let is_free = AtomicBool::new(false);
        let now = || {
            assert!(is_free.load(Ordering::SeqCst), "read before the lock");
            world.now()
        };
        let revoke = async {
            if all {
                accounts.revoke_all(now).await.unwrap();
            } else {
                accounts.revoke(account.id, now).await.unwrap();
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

    // The clock was ahead during the first of two logins. A revocation also rejects the token of the first login.
    world.set_clock(NOW + 100);
    let token = world.token().await;
    world.set_clock(NOW + 50);
    world.token().await;
    accounts.revoke(account.id, || world.now()).await.unwrap();
    world
        .refresh(&token)
        .await
        .assert_refused("Error decoding signature.");

    // `revoke_all` rejects such a token, too.
    world.set_clock(NOW + 200);
    let token = world.token().await;
    world.set_clock(NOW + 150);
    world.token().await;
    assert_eq!(accounts.revoke_all(|| world.now()).await.unwrap(), 1);
    let refused = world.refresh(&token).await;
    refused.assert_refused("Error decoding signature.");
}

#[tokio::test]
async fn disabling_rejects_tokens_and_enabling_accepts_them_again() {
    let world = World::new().await;
    let account = world.add_documented().await;
    let token = world.token().await;

    world
        .auth
        .accounts
        .set_active(account.id, false)
        .await
        .unwrap();
    world
        .refresh(&token)
        .await
        .assert_refused("User account is disabled.");
    world.obtain(EMAIL, PASSWORD).await.assert_refused(NO_LOGIN);

    world
        .auth
        .accounts
        .set_active(account.id, true)
        .await
        .unwrap();
    world.refresh(&token).await.token();
}

#[tokio::test]
async fn successful_login_is_recorded_and_failed_login_is_not() {
    let world = World::new().await;
    world.add_documented().await;
    world.obtain(EMAIL, "wrong").await.assert_refused(NO_LOGIN);
    let last_login = async || world.account(1).await.unwrap().last_login;
    assert_eq!(last_login().await, None);

    world.set_clock(NOW + 5);
    world.token().await;
    assert_eq!(last_login().await, Some(world.now()));
}

/// Returns whether a login is rejected because the account changed after `verified` was loaded.
async fn is_overtaken(world: &World, verified: &Account) -> bool {
    let login = world
        .auth
        .accounts
        .record_login(verified, world.now(), None);
    !login.await.unwrap()
}

/// If an account changes while a password is verified, the login must get no token. A new hash of the same password is no such change.
#[tokio::test]
async fn login_is_rejected_if_password_or_state_changes_meanwhile() {
    let world = World::new().await;
    let verified = world.add_documented().await;
    let accounts = &world.auth.accounts;

    let rehashed = world.auth.passwords.hash(PASSWORD).await.unwrap();
    accounts.rehash(&verified, rehashed).await.unwrap();
    assert!(!is_overtaken(&world, &verified).await);

    world.set_clock(NOW + 1);
    let hash = world.auth.passwords.hash("another one").await.unwrap();
    accounts
        .set_password(1, hash, || world.now())
        .await
        .unwrap();
    assert!(is_overtaken(&world, &verified).await);

    let verified = world.account(1).await.unwrap();
    accounts.set_active(1, false).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);
}

#[tokio::test]
async fn login_is_rejected_if_email_changes_or_tokens_are_revoked_meanwhile() {
    let world = World::new().await;
    let accounts = &world.auth.accounts;
    let verified = world.add_documented().await;
    accounts.revoke(1, || world.now()).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);

    let verified = world.account(1).await.unwrap();
    let new = "new@example.com".to_owned();
    accounts.set_email(1, new, || world.now()).await.unwrap();
    assert!(is_overtaken(&world, &verified).await);
}

#[tokio::test]
async fn hash_of_another_cost_is_replaced_once_and_revokes_no_token() {
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
        .accounts
        .rehash(&account, imported.clone())
        .await
        .unwrap();

    let stored = async || world.account(1).await.unwrap().password.unwrap();
    world.obtain(EMAIL, "wrong").await.assert_refused(NO_LOGIN);
    assert_eq!(
        stored().await,
        imported,
        "a wrong password replaced the hash"
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

/// Hashes at Django's default cost are expensive, but accepted.
#[tokio::test]
async fn hash_at_django_default_cost_is_verified_and_replaced() {
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
    world
        .auth
        .accounts
        .rehash(&account, imported)
        .await
        .unwrap();
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
async fn new_hash_has_the_configured_cost() {
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
async fn account_with_unsupported_hash_cannot_log_in() {
    let world = World::new().await;
    for (id, hash) in [
        "",
        "rubbish",
        "$argon2id$v=19$m=7,t=0,p=0$c2FsdHNhbHQ$aGFzaA",
        "$scrypt$ln=1$c2FsdA$aGFzaA",
        // Valid hashes at a cost that would block the service.
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
        world.auth.accounts.add(account, world.now()).await.unwrap();
        world
            .obtain(&email, PASSWORD)
            .await
            .assert_refused(NO_LOGIN);
    }
}

/// If another process locks the database for too long, a login gets a 503 and no 500. Refreshes succeed, because they only read.
#[tokio::test]
async fn login_on_a_locked_database_gets_503_with_retry_after() {
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

/// Logins that wait for another writer use at most half of the connections. The other connections are for reads.
#[tokio::test]
async fn refreshes_succeed_while_logins_wait_for_a_lock() {
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
        // After these rounds, every login that can get a connection has a connection.
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

/// Concurrent refreshes share queries. Each refresh must get the state of the right account.
#[tokio::test]
async fn concurrent_refreshes_get_the_state_of_their_accounts() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    for id in 1..=100 {
        let email = format!("user{id}@example.com");
        world.add(id, &email, Some(PASSWORD)).await;
        tokens.push(world.obtain(&email, PASSWORD).await.token());
    }
    world.auth.accounts.set_active(3, false).await.unwrap();
    world.auth.accounts.delete(5).await.unwrap();

    let refreshes = tokens.iter().map(|token| world.refresh(token));
    let answers = futures_util::future::join_all(refreshes).await;
    for ((answer, token), id) in answers.iter().zip(&tokens).zip(1..) {
        match id {
            3 => answer.assert_refused("User account is disabled."),
            5 => answer.assert_refused("User doesn't exist."),
            // A refresh in the second in which the token was issued returns the same token.
            _ => assert_eq!(answer.token(), *token),
        }
    }
}

/// Only SQLite stores values that do not match the type of the column.
#[tokio::test]
async fn unreadable_row_fails_only_refreshes_of_this_account() {
    let world = World::new().await;
    if world.db.get_database_backend() != DbBackend::Sqlite {
        return;
    }
    world.add_documented().await;
    world.add(2, "other@example.com", Some(PASSWORD)).await;
    let good = world.token().await;
    let bad = world.obtain("other@example.com", PASSWORD).await.token();
    for spoil in [
        "tokens_valid_after = 'soon'",
        "email = x'7531'",
        "email = CAST(x'75ff31' AS TEXT)",
    ] {
        let spoil = format!("UPDATE users SET {spoil} WHERE id = 2");
        world.db.execute_unprepared(&spoil).await.unwrap();
        // Concurrent refreshes share a query.
        let (bad, good) = tokio::join!(world.refresh(&bad), world.refresh(&good));
        assert_eq!(bad.status, 500, "{spoil}");
        assert_eq!(good.status, 200, "{spoil}");
        let repair =
            "UPDATE users SET tokens_valid_after = 0, email = 'other@example.com' WHERE id = 2";
        world.db.execute_unprepared(repair).await.unwrap();
    }
}

#[tokio::test]
async fn emails_and_ids_are_unique_and_ids_are_never_reused() {
    let world = World::new().await;
    world.add(5, "CaseUser@example.com", Some(PASSWORD)).await;
    let accounts = &world.auth.accounts;
    let add = async |id, email: &str| {
        let account = NewAccount {
            id,
            email: email.to_owned(),
            password: None,
        };
        accounts.add(account, world.now()).await
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

    accounts.delete(6).await.unwrap();
    assert!(matches!(
        accounts.delete(6).await,
        Err(ChangeError::NoAccount)
    ));
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

    let taken = accounts
        .set_email(7, "CASEUSER@example.com".to_owned(), || world.now())
        .await;
    assert!(matches!(taken, Err(ChangeError::EmailTaken)));
    let gone = accounts
        .set_email(99, "x@example.com".to_owned(), || world.now())
        .await;
    assert!(matches!(gone, Err(ChangeError::NoAccount)));
}

#[tokio::test]
async fn token_contains_the_email_as_stored() {
    let world = World::new().await;
    world.add(3, "CaseUser@example.com", Some(PASSWORD)).await;
    let asked = json!({ "email": "\u{3000}caseuser@EXAMPLE.com\n", "password": PASSWORD });
    let exact = world.obtain("CaseUser@example.com", PASSWORD).await;
    let answer = world.post(OBTAIN, &asked).await;
    assert_eq!(
        as_hs256(&world, &answer.text).await,
        as_hs256(&world, &exact.text).await
    );
}
