//! What a refusal's time tells: nothing of its cause.
//!
//! Two kinds of refusal are sampled in turns, so that whatever else the machine does meets both alike, and
//! the samples are compared pair by pair. Which of a pair was the longer is then as good as a coin's toss,
//! unless one kind takes longer.

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

/// Long against what surrounds it.
const COST: Argon2Params = Argon2Params {
    memory_kib: 4096,
    iterations: 3,
    parallelism: 1,
};

/// Of 128 tosses of a coin, fewer than 32 or more than 96 come out as heads once in a hundred million times.
const PAIRS: u32 = 128;
const FAIR: std::ops::RangeInclusive<u32> = 32..=96;

/// Whether refusals of the second kind can be told by their time from those of the first.
async fn told_apart(world: &World, first: (&str, &str), second: (&str, &str)) -> bool {
    let refuse = async |(email, password)| {
        let started = Instant::now();
        world.obtain(email, password).await.assert_refused(NO_LOGIN);
        started.elapsed().as_secs_f64()
    };
    let mut longer = 0;
    for round in 0..PAIRS {
        // Whoever goes second may find things warmer.
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

/// A throttle that counts everything, and lets everything through.
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
async fn a_refusal_takes_the_same_time_whatever_its_cause() {
    let world = world().await;
    world.add_documented().await;
    world.add(2, "unusable@example.com", None).await;
    world.add(3, "disabled@example.com", Some(PASSWORD)).await;
    world.auth.users.set_active(3, false).await.unwrap();
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
    world.auth.users.rehash(&account, cheaper).await.unwrap();

    let wrong = (EMAIL, "wrong");
    for other in [
        "nobody@example.com",
        "unusable@example.com",
        "disabled@example.com",
    ] {
        assert!(
            !told_apart(&world, wrong, (other, PASSWORD)).await,
            "{other}"
        );
    }
    // The comparison itself sees one that is cheaper.
    assert!(told_apart(&world, wrong, ("cheaper@example.com", "wrong")).await);
}

/// Whoever is not there takes as long as most who are: after an import, as what was imported.
#[tokio::test]
async fn the_stand_in_is_of_the_scheme_that_most_accounts_have() {
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
    assert!(told_apart(&world, unknown, most).await);
    world.auth.refresh_dummy_hash().await.unwrap();
    assert!(!told_apart(&world, unknown, most).await);
    // A hash that is not verified is as good as none.
    assert!(!told_apart(&world, unknown, ("user0@example.com", "wrong")).await);
    // What the few show until their next login (SECURITY.md).
    assert!(told_apart(&world, unknown, (EMAIL, "wrong")).await);
}

/// The defense does not depend on the other steps of maintenance.
#[tokio::test]
async fn failed_cleanup_does_not_skip_the_timing_defense() {
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
    assert!(told_apart(&world, unknown, most).await);
    let rename = async |from: &str, to: &str| {
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        world.db.execute_unprepared(&rename).await.unwrap();
    };
    rename("attempts", "away").await;
    world.auth.run_maintenance().await.unwrap_err();
    rename("away", "attempts").await;
    assert!(!told_apart(&world, unknown, most).await);
}

/// Of very many accounts, some from all over are looked at: those that came first are not most.
#[tokio::test]
async fn of_many_accounts_a_sample_tells_what_most_have() {
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
    // One that was given its id by hand does not stand for the rest.
    world.add(5_000_000_000, "far@example.com", None).await;
    let (unknown, most) = (
        ("nobody@example.com", "wrong"),
        ("user30000@example.com", "wrong"),
    );
    assert!(told_apart(&world, unknown, most).await);
    world.auth.refresh_dummy_hash().await.unwrap();
    assert!(!told_apart(&world, unknown, most).await);
}
