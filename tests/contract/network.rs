//! PostgreSQL behind a network that is slow or loses connections.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use signet::auth::{Quota, Quotas};

use crate::{
    store::Store,
    world::{Answer, Setup, World},
};

const WAIT: Duration = Duration::from_secs(1);
/// Longer than a request without its wait for the database.
const SLACK: Duration = Duration::from_millis(500);

/// A quota that no test reaches. Each login still queries the counters of failures.
const RATE: Quota = Quota {
    attempts: 1000,
    per: Duration::from_mins(15),
};

/// Returns a world on PostgreSQL with the documented account. All connections of the pool are open. Returns `None` if the tests run on
/// SQLite.
async fn connected(setup: Setup) -> Option<World> {
    if !Store::is_postgres() {
        return None;
    }
    let world = World::of(Setup {
        relay: true,
        rates: Some(Quotas {
            account: RATE,
            address: RATE,
        }),
        ..setup
    })
    .await;
    world.add_documented().await;
    let pool = || world.auth.accounts.pool();
    while pool().used + pool().idle < pool().limit {
        join_all((0..pool().limit * 2).map(|_| world.token())).await;
    }
    while pool().idle < pool().limit {
        tokio::task::yield_now().await;
    }
    Some(world)
}

async fn timed<T>(answer: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (answer.await, started.elapsed())
}

#[tokio::test]
async fn lost_connections_fail_at_most_one_request() {
    let Some(world) = connected(Setup {
        patience: WAIT,
        ..Setup::default()
    })
    .await
    else {
        return;
    };
    let token = world.token().await;
    for refreshes_first in [true, false] {
        world.relay().forget();
        let mut failed = Vec::new();
        for number in 0..20 {
            let answer = async {
                if (number % 2 == 0) == refreshes_first {
                    world.refresh(&token).await
                } else {
                    world.obtain("jonhdoeqa@email.com", "1234ABCD").await
                }
            };
            let (answer, took) = timed(answer).await;
            assert!(took < WAIT + SLACK, "{number} took {took:?}");
            if answer.status != 200 {
                assert_eq!(answer.status, 503, "{}", answer.text);
                failed.push(number);
            }
        }
        assert!(failed.len() <= 1, "{failed:?} failed");
    }
}

#[tokio::test]
async fn lost_connection_is_replaced_in_a_pool_of_one_connection() {
    let Some(world) = connected(Setup {
        patience: WAIT,
        connections: NonZeroU32::MIN,
        ..Setup::default()
    })
    .await
    else {
        return;
    };
    world.relay().forget();
    let mut failed = 0;
    for _ in 0..10 {
        let (answer, took) = timed(world.obtain("jonhdoeqa@email.com", "1234ABCD")).await;
        assert!(took < WAIT + SLACK, "{took:?}");
        failed += u32::from(answer.status != 200);
    }
    assert!(failed <= 1, "{failed} failed");
}

#[tokio::test]
async fn logins_do_not_wait_for_refreshes_on_a_slow_network() {
    for connections in [1, 2, 8] {
        let Some(world) = connected(Setup {
            patience: Duration::from_secs(10),
            connections: NonZeroU32::new(connections).unwrap(),
            ..Setup::default()
        })
        .await
        else {
            return;
        };
        let token = world.token().await;
        world.relay().slow_down(Duration::from_millis(50));
        let is_over = AtomicBool::new(false);
        let refreshes = join_all((0..8).map(|_| async {
            let mut all = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let (answer, took) = timed(world.refresh(&token)).await;
                answer.token();
                all.push(took);
            }
            all
        }));
        let logins = async {
            let mut all = Vec::new();
            for _ in 0..5 {
                let login = world.obtain("jonhdoeqa@email.com", "1234ABCD");
                let (answer, took) = timed(login).await;
                answer.token();
                all.push(took);
            }
            is_over.store(true, Ordering::SeqCst);
            all
        };
        let (logins, refreshes) = tokio::join!(logins, refreshes);
        let median = |mut all: Vec<Duration>| {
            all.sort();
            all[all.len() / 2]
        };
        let (login, refresh) = (median(logins), median(refreshes.concat()));
        // Each of three queries may wait until a connection is free.
        let most = Duration::from_millis(if connections == 1 { 3000 } else { 1500 });
        assert!(
            login < most && refresh < most,
            "with {connections}: login {login:?}, refresh {refresh:?}"
        );
    }
}

#[tokio::test]
async fn queries_of_a_request_share_one_timeout() {
    let Some(world) = connected(Setup {
        patience: WAIT,
        ..Setup::default()
    })
    .await
    else {
        return;
    };
    // One query is shorter than the timeout. Two queries together are longer.
    world.relay().slow_down(WAIT * 3 / 10);
    let right = timed(world.obtain("jonhdoeqa@email.com", "1234ABCD"));
    let wrong = timed(world.obtain("jonhdoeqa@email.com", "not the password"));
    let unknown = timed(world.obtain("nobody@email.com", "1234ABCD"));
    let garbage = timed(world.refresh("garbage"));
    let (right, wrong, unknown, garbage) = tokio::join!(right, wrong, unknown, garbage);
    for (answer, took) in [right, wrong, unknown, garbage] {
        let answer: Answer = answer;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(took < WAIT + SLACK, "{took:?}");
    }
}
