//! What a refusal's time tells: nothing of its cause.
//!
//! Two kinds of refusal are sampled in turns, so that whatever else the machine does meets both alike, and
//! the samples are compared pair by pair. Which of a pair was the longer is then as good as a coin's toss,
//! unless one kind takes longer.

use std::time::Instant;

use signet::{
    auth::{Cost, Passwords, Rate, Rates},
    users::PasswordHash,
};

use crate::{
    hashes::{add_accounts, made_by_django},
    world::{GENEROUS, Setup, World},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";
const NO_LOGIN: &str = "Unable to log in with provided credentials.";

/// Long against what surrounds it.
const COST: Cost = Cost {
    memory_kib: 4096,
    iterations: 3,
    parallelism: 1,
};

/// Of 64 tosses of a coin, fewer than 10 or more than 54 come out as heads once in eighty million times.
const PAIRS: u32 = 64;
const FAIR: std::ops::RangeInclusive<u32> = 10..=54;

/// How two kinds of refusal compare.
#[derive(Debug)]
struct Comparison {
    /// Pairs in which the second took longer.
    longer: u32,
    /// The median of the second's times by the first's.
    ratio: f64,
}

impl Comparison {
    async fn of(world: &World, first: (&str, &str), second: (&str, &str)) -> Self {
        let refuse = async |(email, password)| {
            let started = Instant::now();
            world.obtain(email, password).await.assert_refused(NO_LOGIN);
            started.elapsed().as_secs_f64()
        };
        let mut ratios = Vec::new();
        for round in 0..PAIRS {
            // Whoever goes second may find things warmer.
            let (one, other) = if round % 2 == 0 {
                let one = refuse(first).await;
                (one, refuse(second).await)
            } else {
                let other = refuse(second).await;
                (refuse(first).await, other)
            };
            ratios.push(other / one);
        }
        ratios.sort_by(f64::total_cmp);
        let longer = ratios.iter().filter(|ratio| **ratio > 1.0).count();
        Self {
            longer: longer.try_into().unwrap(),
            ratio: ratios[ratios.len() / 2],
        }
    }

    fn tells_apart(&self) -> bool {
        !FAIR.contains(&self.longer)
    }

    fn assert_alike(&self, what: &str) {
        assert!(!self.tells_apart(), "{what}: {self:?}");
        assert!((0.9..1.1).contains(&self.ratio), "{what}: {self:?}");
    }
}

/// A throttle that counts everything, and lets everything through.
async fn world() -> World {
    let rate = Rate {
        attempts: 1_000_000,
        per: std::time::Duration::from_hours(1),
    };
    World::of(Setup {
        cost: COST,
        rates: Some(Rates {
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
    let cheaper = Passwords::new(
        Cost {
            iterations: 2,
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
        let comparison = Comparison::of(&world, wrong, (other, PASSWORD)).await;
        comparison.assert_alike(other);
    }
    // The comparison itself would see a third less.
    let comparison = Comparison::of(&world, wrong, ("cheaper@example.com", "wrong")).await;
    assert!(comparison.tells_apart(), "{comparison:?}");
}

/// Whoever is not there takes as long as most who are: after an import, as what was imported.
#[tokio::test]
async fn the_stand_in_is_of_the_scheme_that_most_accounts_have() {
    let made = made_by_django();
    let of = |start: &str| -> PasswordHash {
        let found = made.iter().find(|(_, hash)| hash.0.starts_with(start));
        found.unwrap().1.clone()
    };
    let imported = of("pbkdf2_sha256$1000$");
    let older = of("md5$");
    let world = world().await;
    world.add_documented().await;
    let hashes = [&older, &older, &older, &imported, &imported].map(PasswordHash::clone);
    add_accounts(&world, &hashes).await;

    let (unknown, most) = (
        ("nobody@example.com", "wrong"),
        ("user4@example.com", "wrong"),
    );
    let before = Comparison::of(&world, unknown, most).await;
    assert!(before.tells_apart(), "{before:?}");
    world.auth.match_stand_in().await.unwrap();
    let after = Comparison::of(&world, unknown, most).await;
    after.assert_alike("a hash that was imported");
    // A hash that is not verified, and none.
    let after = Comparison::of(&world, unknown, ("user0@example.com", "wrong")).await;
    after.assert_alike("a hash that is not verified");
    // What the few show until their next login (SECURITY.md).
    let few = Comparison::of(&world, unknown, (EMAIL, "wrong")).await;
    assert!(few.tells_apart(), "{few:?}");
}
