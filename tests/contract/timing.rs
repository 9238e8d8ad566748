//! The response time of a rejected login does not reveal the cause.
//!
//! The tests alternate between two kinds of rejected logins, so that other load on the machine affects both kinds equally. The samples are
//! compared in pairs. If both kinds need the same time, each kind is the slower one in about half of the pairs.

use std::time::Instant;

use sea_orm::ConnectionTrait;
use signet::{
    accounts::PasswordHash,
    auth::{Argon2Params, PasswordHasher, Quota, Quotas},
};

use crate::{
    hashes::{add_accounts, made_by_django},
    world::{GENEROUS, Setup, World},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";
const NO_LOGIN: &str = "Unable to log in with provided credentials.";

/// At this cost, the time of a response is mostly the time of the hash.
const COST: Argon2Params = Argon2Params {
    memory_kib: 4096,
    iterations: 3,
    parallelism: 1,
};

/// The second kind must be slower in 32 to 96 of 128 pairs. If both kinds need the same time, fewer than 1 in 200 million comparisons are
/// outside this range.
const PAIRS: u32 = 128;
const FAIR: std::ops::RangeInclusive<u32> = 32..=96;

/// Returns whether the response times of the two rejected logins differ significantly.
async fn timing_differs(world: &World, first: (&str, &str), second: (&str, &str)) -> bool {
    let refuse = async |(email, password)| {
        let started = Instant::now();
        world.obtain(email, password).await.assert_refused(NO_LOGIN);
        started.elapsed().as_secs_f64()
    };
    let mut longer = 0;
    for round in 0..PAIRS {
        // The second request of a pair may find warmer caches, so the order alternates.
        let ratio = if round % 2 == 0 {
            let one = refuse(first).await;
            refuse(second).await / one
        } else {
            let other = refuse(second).await;
            other / refuse(first).await
        };
        longer += u32::from(ratio > 1.0);
    }
    println!(
        "{} against {}: {longer} of {PAIRS} took longer",
        second.0, first.0
    );
    !FAIR.contains(&longer)
}

/// Returns a service with rate limits that count every login and reject no login.
async fn world() -> World {
    let rate = Quota {
        attempts: 1_000_000,
        per: std::time::Duration::from_hours(1),
    };
    World::of(Setup {
        cost: COST,
        rates: Some(Quotas {
            account: rate,
            address: rate,
        }),
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn rejected_logins_need_the_same_time_for_every_cause() {
    let world = world().await;
    world.add_documented().await;
    world.add(2, "unusable@example.com", None).await;
    world.add(3, "disabled@example.com", Some(PASSWORD)).await;
    world.auth.accounts.set_active(3, false).await.unwrap();
    let cheaper = PasswordHasher::new(
        Argon2Params {
            iterations: 1,
            ..COST
        },
        GENEROUS,
    )
    .unwrap();
    let cheaper = cheaper.hash(PASSWORD).await.unwrap();
    let account = world.add(4, "cheaper@example.com", Some(PASSWORD)).await;
    world.auth.accounts.rehash(&account, cheaper).await.unwrap();

    let wrong = (EMAIL, "wrong");
    for other in [
        "nobody@example.com",
        "unusable@example.com",
        "disabled@example.com",
    ] {
        assert!(
            !timing_differs(&world, wrong, (other, PASSWORD)).await,
            "{other}"
        );
    }
    // The comparison must detect a cheaper hash.
    assert!(timing_differs(&world, wrong, ("cheaper@example.com", "wrong")).await);
}

/// A login with an unknown email needs the time of most accounts: after an import, the time of the imported hashes.
#[tokio::test]
async fn dummy_hash_has_the_most_common_scheme() {
    let made = made_by_django();
    let of = |start: &str| -> PasswordHash {
        let found = made.iter().find(|(_, hash)| hash.0.starts_with(start));
        found.unwrap().1.clone()
    };
    let imported = of("pbkdf2_sha256$30000$");
    let older = of("md5$");
    let world = world().await;
    world.add_documented().await;
    let hashes = [&older, &older, &older, &imported, &imported].map(PasswordHash::clone);
    add_accounts(&world, &hashes).await;

    let (unknown, most) = (
        ("nobody@example.com", "wrong"),
        ("user4@example.com", "wrong"),
    );
    assert!(timing_differs(&world, unknown, most).await);
    world.auth.refresh_dummy_hash().await.unwrap();
    assert!(!timing_differs(&world, unknown, most).await);
    // An account with an unsupported hash needs the time of an account without a hash.
    assert!(!timing_differs(&world, unknown, ("user0@example.com", "wrong")).await);
    // Accounts with a less common scheme need a different time until their next login (SECURITY.md).
    assert!(timing_differs(&world, unknown, (EMAIL, "wrong")).await);
}

/// The update of the dummy hash does not depend on the other steps of the maintenance.
#[tokio::test]
async fn failed_cleanup_does_not_skip_the_update_of_the_dummy_hash() {
    let of_most = made_by_django()
        .into_iter()
        .find(|(_, hash)| hash.0.starts_with("pbkdf2_sha256$30000$"))
        .unwrap();
    let world = world().await;
    add_accounts(&world, std::slice::from_ref(&of_most.1)).await;
    let (unknown, most) = (
        ("nobody@example.com", "wrong"),
        ("user0@example.com", "wrong"),
    );
    assert!(timing_differs(&world, unknown, most).await);
    let rename = async |from: &str, to: &str| {
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        world.db.execute_unprepared(&rename).await.unwrap();
    };
    rename("attempts", "away").await;
    world.auth.run_maintenance().await.unwrap_err();
    rename("away", "attempts").await;
    assert!(!timing_differs(&world, unknown, most).await);
}

/// If there are many accounts, the sample covers all ranges of IDs, because the first accounts may differ from most accounts.
#[tokio::test]
async fn sample_of_many_accounts_finds_the_most_common_scheme() {
    let world = world().await;
    world.add_documented().await;
    let made = made_by_django();
    let of_most = made
        .iter()
        .find(|(_, hash)| hash.0.starts_with("pbkdf2_sha256$30000$"));
    let user = world.account(1).await.unwrap();
    let hashes = [user.password.unwrap().0, of_most.unwrap().1.0.clone()];
    let many = format!(
        "WITH RECURSIVE ids(id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM ids WHERE id < 40000) \
         INSERT INTO users (id, email, email_key, password, is_active, created, password_changed, tokens_valid_after) \
         SELECT ids.id, 'user' || ids.id || '@example.com', 'user' || ids.id || '@example.com', \
         CASE WHEN ids.id < 12000 THEN '{}' ELSE '{}' END, \
         users.is_active, users.created, users.created, 0 FROM ids, users WHERE users.id = 1",
        hashes[0], hashes[1],
    );
    world.db.execute_unprepared(&many).await.unwrap();
    // A single account with a very large ID must not distort the sample.
    world.add(5_000_000_000, "far@example.com", None).await;
    let (unknown, most) = (
        ("nobody@example.com", "wrong"),
        ("user30000@example.com", "wrong"),
    );
    assert!(timing_differs(&world, unknown, most).await);
    world.auth.refresh_dummy_hash().await.unwrap();
    assert!(!timing_differs(&world, unknown, most).await);
}
