//! The throttle: whoever fails too often waits, and nobody can make others wait for good.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::ConnectionTrait;
use serde_json::json;
use signet::{
    accounts::AccountStore,
    auth::{
        AuthMetrics, AuthService, AuthState, ClientInfo, Clock, DisconnectWatcher, Lifetimes,
        PasswordHasher, Quota, Quotas, RateLimiter, Secrets, Tokens,
    },
    http::{AdminApi, AppConfig, build_app},
};

use crate::{
    binary::{Home, failure, stdout},
    store::LIMITS,
    world::{Answer, CHEAP, GENEROUS, NOW, OBTAIN, REFRESH, SECRET, Setup, World, post},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

/// The defaults: 90 seconds forgive one failure against an account, 9 one from an address.
pub(crate) const RATES: Quotas = Quotas {
    account: Quota {
        attempts: 10,
        per: Duration::from_mins(15),
    },
    address: Quota {
        attempts: 100,
        per: Duration::from_mins(15),
    },
};

async fn throttled() -> World {
    let world = World::of(Setup {
        rates: Some(RATES),
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    world
}

/// Sends from an address, with these headers.
async fn send(
    world: &World,
    from: &str,
    headers: &[(&'static str, &str)],
    path: &str,
    body: &serde_json::Value,
) -> Answer {
    let mut request = post(path, body.to_string());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request.set_data(ClientInfo::at(from.parse().unwrap()));
    world.send(request).await
}

async fn login(world: &World, from: &str, email: &str, password: &str) -> Answer {
    send(
        world,
        from,
        &[],
        OBTAIN,
        &json!({ "email": email, "password": password }),
    )
    .await
}

async fn refresh(world: &World, from: &str, token: &str) -> Answer {
    send(world, from, &[], REFRESH, &json!({ "token": token })).await
}

#[track_caller]
fn assert_waits(answer: &Answer, seconds: u32) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let detail = format!("Request was throttled. Expected available in {seconds} seconds.");
    assert_eq!(answer.json(), json!({ "detail": detail }));
    assert_eq!(answer.header("retry-after"), Some(&*seconds.to_string()));
}

async fn fail(world: &World, from: &str, email: &str, times: u32) {
    for guess in 0..times {
        let answer = login(world, from, email, &format!("guess {guess} from {from}")).await;
        assert_eq!(answer.status, 400, "{guess}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_account_that_is_guessed_at_waits_whether_it_exists_or_not() {
    let world = throttled().await;
    for email in [EMAIL, "nobody@example.com"] {
        fail(&world, ELSEWHERE, email, 10).await;
        // Also with the right password, and in whatever case.
        assert_waits(
            &login(&world, ELSEWHERE, &email.to_uppercase(), PASSWORD).await,
            90,
        );
    }
    // A request that is faulty by itself is told so.
    let faulty = json!({ "email": EMAIL, "password": "" });
    assert_eq!(
        send(&world, ELSEWHERE, &[], OBTAIN, &faulty).await.status,
        400
    );

    world.set_clock(NOW + 89);
    assert_waits(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 1);
    world.set_clock(NOW + 90);
    login(&world, ELSEWHERE, EMAIL, PASSWORD).await.token();
}

#[tokio::test]
async fn a_success_counts_nothing_and_forgives_nothing() {
    let world = throttled().await;
    for _ in 0..20 {
        login(&world, HOME, EMAIL, PASSWORD).await.token();
    }
    let subjects = ["known", "account", "address"].map(str::to_owned);
    assert_eq!(world.auth.users.attempts(&subjects).await.unwrap(), []);

    fail(&world, HOME, EMAIL, 9).await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    fail(&world, HOME, EMAIL, 1).await;
    assert_waits(&login(&world, HOME, EMAIL, PASSWORD).await, 90);
}

#[tokio::test]
async fn a_client_that_is_stuck_on_one_wrong_password_locks_nobody_out() {
    let world = throttled().await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..50 {
        assert_eq!(
            login(&world, HOME, EMAIL, "the old password").await.status,
            400
        );
    }
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..50 {
        assert_eq!(
            login(&world, ELSEWHERE, EMAIL, "the old password")
                .await
                .status,
            400
        );
    }
    login(&world, ELSEWHERE, EMAIL, PASSWORD).await.token();
}

/// Clients that are stuck, each on a password of its own, some of one account and some of others. Together they are slower than the
/// address forgives.
#[tokio::test]
async fn some_clients_that_are_stuck_lock_nobody_out() {
    let world = throttled().await;
    for round in 0..60 {
        world.set_clock(NOW + 45 * round);
        for (email, password) in [
            (EMAIL, "old"),
            (EMAIL, "older"),
            (EMAIL, "oldest"),
            ("jane@example.com", "old"),
            ("mary@example.com", "old"),
        ] {
            assert_eq!(login(&world, HOME, email, password).await.status, 400);
        }
    }
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    world.add(5, "other@example.com", Some(PASSWORD)).await;
    login(&world, HOME, "other@example.com", PASSWORD)
        .await
        .token();
}

/// Each repeated guess costs a hash, so the address pays for repeated guesses. The account does not: a repeated guess reveals nothing.
#[tokio::test]
async fn repeated_guesses_count_against_the_address_only() {
    for (email, passwords) in [
        (EMAIL, &["old"][..]),
        (EMAIL, &["old", "older", "oldest"]),
        ("unknown@example.com", &["old"]),
    ] {
        let world = throttled().await;
        for attempt in 0..100 {
            let password = passwords[attempt % passwords.len()];
            let answer = login(&world, ELSEWHERE, email, password).await;
            assert_eq!(answer.status, 400, "{email} {attempt}: {}", answer.text);
        }
        for (email, password) in [(email, "old"), (EMAIL, PASSWORD), ("jane@example.com", "x")] {
            assert_waits(&login(&world, ELSEWHERE, email, password).await, 9);
        }
        // The account is not locked out at other addresses, even if the owner never logged in before.
        login(&world, HOME, EMAIL, PASSWORD).await.token();
        assert_eq!(login(&world, HOME, email, "old").await.status, 400);
    }
}

/// A wrong clock can store a count that ends far in the future. Once the clock is right again, such a count is the maximum of four periods.
#[tokio::test]
async fn clock_set_back_locks_nobody_out_for_the_length_of_the_step() {
    const MAXIMUM: i64 = 3600;
    let (account, address) = (MAXIMUM + 90 - 900, MAXIMUM + 9 - 900);
    for step in [3600, 86_400, 365 * 86_400] {
        let world = throttled().await;
        world.set_clock(NOW + step);
        fail(&world, ELSEWHERE, EMAIL, 10).await;
        refresh(&world, HOME, "garbage").await;
        world.set_clock(NOW);
        let user = world.account(1).await.unwrap();
        let now = world.now();
        let failures = world
            .auth
            .rate_limiter
            .failures(&world.auth.users, now, &user);
        assert_eq!(failures.await.unwrap(), 40, "{step}");
        let seconds = |seconds: i64| u32::try_from(seconds).unwrap();
        assert_waits(
            &login(&world, HOME, EMAIL, PASSWORD).await,
            seconds(account),
        );
        assert_waits(
            &login(&world, ELSEWHERE, "jane@example.com", PASSWORD).await,
            seconds(address),
        );
        assert_waits(&refresh(&world, HOME, "garbage").await, seconds(address));
        world.set_clock(NOW + account);
        login(&world, HOME, EMAIL, PASSWORD).await.token();
        login(&world, ELSEWHERE, EMAIL, PASSWORD).await.token();
        refresh(&world, HOME, "garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
}

/// Also where no client asks meanwhile.
#[tokio::test]
async fn counts_of_a_wrong_clock_are_lowered_by_maintenance() {
    let world = throttled().await;
    world.set_clock(NOW + 365 * 86_400);
    fail(&world, HOME, EMAIL, 10).await;
    world.set_clock(NOW);
    fail(&world, ELSEWHERE, "jane@example.com", 1).await;
    world.auth.run_maintenance().await.unwrap();
    world.set_clock(NOW + 3600 + 90 - 900);
    login(&world, HOME, EMAIL, PASSWORD).await.token();
}

/// Adds this many expired counts.
async fn add_settled(world: &World, count: usize) {
    let rows: Vec<_> = (0..count)
        .map(|number| format!("('address:{number}', 0)"))
        .collect();
    let rows = rows.join(", ");
    let insert = format!("INSERT INTO attempts (subject, settled_at) VALUES {rows}");
    world.db.execute_unprepared(&insert).await.unwrap();
}

/// Writes wait for one small batch, not for the whole cleanup.
#[tokio::test]
async fn cleanup_lets_logins_write_between_its_batches() {
    const SETTLED: u64 = 9_000;
    let world = throttled().await;
    add_settled(&world, 9_000).await;
    let count = || async {
        let kinds = ["address"];
        let counted = world.auth.users.attempts_after(&kinds, -1).await;
        counted.unwrap()
    };
    let cleanup = async { world.auth.run_maintenance().await.unwrap() };
    let logins = async {
        let mut left = SETTLED;
        while left == SETTLED {
            left = count().await;
        }
        assert!(left > 0, "the cleanup is one statement");
        let subject = "address:new".to_owned();
        let added = world
            .auth
            .users
            .add_attempt(subject, NOW * 1000, 1000, 1000, None);
        added.await.unwrap();
        assert!(count().await > 1, "the write waited for the whole cleanup");
    };
    tokio::join!(cleanup, logins);
    assert_eq!(count().await, 1);
}

/// Whatever is between the expired counts.
#[tokio::test]
async fn cleanup_deletes_expired_counts_only() {
    let world = throttled().await;
    add_settled(&world, 2_500).await;
    let keep = "UPDATE attempts SET settled_at = 9000000000000 WHERE subject LIKE 'address:%7'";
    world.db.execute_unprepared(keep).await.unwrap();
    world
        .auth
        .users
        .delete_expired_attempts(NOW * 1000)
        .await
        .unwrap();
    let left = world.auth.users.attempts_after(&["address"], -1).await;
    assert_eq!(left.unwrap(), 250);
}

/// A login that a wrong clock dated ahead stays the account's last login, and a revocation goes past it. Neither stops a later login.
#[tokio::test]
async fn accounts_work_after_a_wrong_clock_was_set_back() {
    for step in [3600, 365 * 86_400] {
        let world = throttled().await;
        world.set_clock(NOW + step);
        let early = login(&world, HOME, EMAIL, PASSWORD).await.token();
        world.set_clock(NOW);
        let late = login(&world, HOME, EMAIL, PASSWORD).await.token();
        refresh(&world, HOME, &late).await.token();
        let now = world.now();
        let revoked = world.auth.users.revoke(1, || now).await.unwrap();
        assert_eq!(revoked.tokens_valid_after, NOW + step + 1);
        for token in [&early, &late] {
            refresh(&world, HOME, token)
                .await
                .assert_refused("Error decoding signature.");
        }
        // The cutoff is never lowered.
        world.auth.run_maintenance().await.unwrap();
        let token = login(&world, HOME, EMAIL, PASSWORD).await.token();
        refresh(&world, HOME, &token).await.token();
        refresh(&world, HOME, &early)
            .await
            .assert_refused("Error decoding signature.");
    }
}

/// A client of a Unix socket has no address of its own. Without a proxy that is trusted there, all of them count as one client.
#[tokio::test]
async fn clients_of_a_unix_socket_share_one_address() {
    let world = throttled().await;
    world.obtain(EMAIL, PASSWORD).await.token();
    let known = world.account(1).await.unwrap().last_login_from;
    assert_eq!(known.as_deref(), Some("unix"));
    for number in 0..100 {
        let answer = world
            .obtain(&format!("user{number}@example.com"), "guess")
            .await;
        assert_eq!(answer.status, 400, "{number}: {}", answer.text);
    }
    assert_waits(&world.obtain(EMAIL, PASSWORD).await, 9);
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..100 {
        world
            .refresh("garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
    assert_waits(&world.refresh("garbage").await, 9);
}

/// A client that has hung up.
#[derive(Debug)]
struct Gone;

impl DisconnectWatcher for Gone {
    fn disconnected(&self, _: Duration) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// Whoever hangs up before the answer has guessed all the same.
#[tokio::test]
async fn hanging_up_is_no_way_around() {
    let world = throttled().await;
    for guess in 0..10 {
        let caller = ClientInfo::watched(ELSEWHERE.parse().ok(), Arc::new(Gone));
        let body = json!({ "email": EMAIL, "password": format!("guess {guess}") });
        let mut request = post(OBTAIN, body.to_string());
        request.set_data(caller);
        world.send(request).await;
    }
    assert_waits(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 90);
}

#[tokio::test]
async fn an_attacker_elsewhere_does_not_lock_the_owner_out() {
    let world = throttled().await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    fail(&world, ELSEWHERE, EMAIL, 10).await;
    assert_waits(&login(&world, ELSEWHERE, EMAIL, "another guess").await, 90);
    assert_waits(
        &login(&world, "203.0.113.1", EMAIL, "another guess").await,
        90,
    );
    login(&world, HOME, EMAIL, PASSWORD).await.token();
}

#[tokio::test]
async fn an_address_waits_whatever_accounts_it_tries() {
    let world = throttled().await;
    for number in 0..100 {
        fail(
            &world,
            "2001:db8:1:2::7",
            &format!("user{number}@example.com"),
            1,
        )
        .await;
    }
    // Anywhere in its network, and for no account.
    assert_waits(
        &login(&world, "2001:db8:1:2:ffff::1", EMAIL, PASSWORD).await,
        9,
    );
    login(&world, "2001:db8:1:3::7", EMAIL, PASSWORD)
        .await
        .token();
}

/// Also for an account that is known there: from one address, all accounts are alike.
#[tokio::test]
async fn an_address_that_waits_does_not_tell_who_is_known_there() {
    let world = throttled().await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for number in 0..100 {
        fail(&world, HOME, &format!("user{number}@example.com"), 1).await;
    }
    assert_waits(&login(&world, HOME, "nobody@example.com", "wrong").await, 9);
    assert_waits(&login(&world, HOME, EMAIL, "wrong").await, 9);
}

#[tokio::test]
async fn garbage_tokens_wait_by_address_and_good_ones_never() {
    let world = throttled().await;
    let token = login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..100 {
        refresh(&world, HOME, "garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
    assert_waits(&refresh(&world, HOME, "garbage").await, 9);
    refresh(&world, HOME, &token).await.token();
    refresh(&world, ELSEWHERE, "garbage")
        .await
        .assert_refused("Error decoding signature.");
    // It is another matter than guessing passwords.
    assert_eq!(login(&world, HOME, EMAIL, "wrong").await.status, 400);
}

/// What one replica counts, the other knows, and so does the next start.
#[tokio::test]
async fn replicas_and_restarts_share_what_was_counted() {
    let world = throttled().await;
    fail(&world, ELSEWHERE, EMAIL, 10).await;
    let now = world.now();
    let replica = AuthService::from(AuthState {
        users: AccountStore::new(world.db.clone(), LIMITS),
        passwords: PasswordHasher::new(CHEAP, GENEROUS).unwrap(),
        tokens: Tokens::new(
            &Secrets::only(SECRET.as_bytes()),
            Lifetimes {
                expires_in: 1,
                refresh_window: 1,
            },
        )
        .unwrap(),
        rate_limiter: RateLimiter::new(Some(RATES)),
        audit: world.auth.audit,
        metrics: AuthMetrics::default(),
        clock: Clock::new(move || now),
    });
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let app = build_app(&replica, AppConfig::default(), &AdminApi::default()).app;
    let answer = poem::Endpoint::get_response(&app, post(OBTAIN, body.to_string())).await;
    assert_eq!(answer.status(), 429);
}

/// Guesses that come all at once are not all let through, and what is let through is counted.
#[tokio::test]
async fn a_volley_of_guesses_is_no_way_around() {
    let volley = async |world: &World, password: &str| {
        let logins = (0..64).map(|guess| {
            let password = password.replace('#', &guess.to_string());
            async move {
                login(world, ELSEWHERE, EMAIL, &password)
                    .await
                    .status
                    .as_u16()
            }
        });
        let statuses = futures_util::future::join_all(logins).await;
        [200, 400, 429].map(|wanted| statuses.iter().filter(|status| **status == wanted).count())
    };
    // Many who know the password may come at once: they all guess the same.
    let world = throttled().await;
    assert_eq!(volley(&world, PASSWORD).await, [64, 0, 0]);
    fail(&world, ELSEWHERE, EMAIL, 1).await;
    assert_eq!(volley(&world, PASSWORD).await, [64, 0, 0]);
    // A guess being recorded may weigh twice for a moment, so that fewer pass, never more than the nine left.
    let [right, tried, refused] = volley(&world, "guess #").await;
    assert_eq!((right, tried + refused), (0, 64));
    assert!((1..=9).contains(&tried), "{tried} guesses were tried");

    // An account that nobody failed at is no exception.
    let world = throttled().await;
    let [right, tried, refused] = volley(&world, "guess #").await;
    assert_eq!((right, tried + refused), (0, 64));
    assert!((1..=10).contains(&tried), "{tried} guesses were tried");
    // Whatever was tried at once is counted as if it had come one by one.
    let tried = u32::try_from(tried).unwrap();
    fail(&world, ELSEWHERE, EMAIL, 10 - tried).await;
    assert_waits(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 90);
}

/// What is forgiven is deleted, and nothing else.
#[tokio::test]
async fn what_is_forgiven_is_forgotten() {
    let world = throttled().await;
    fail(&world, HOME, "old@example.com", 1).await;
    world.set_clock(NOW + 60);
    fail(&world, ELSEWHERE, "new@example.com", 1).await;
    let rows = async || {
        let query = sea_orm::Statement::from_string(
            world.db.get_database_backend(),
            "SELECT subject FROM attempts",
        );
        world.db.query_all_raw(query).await.unwrap().len()
    };
    assert_eq!(rows().await, 4);
    world.set_clock(NOW + 90);
    world.auth.run_maintenance().await.unwrap();
    assert_eq!(rows().await, 1, "one account has yet to be forgiven");
}

/// Who has to wait only for others to be decided is not sent away for long.
#[tokio::test]
async fn what_is_undecided_is_known_in_a_moment() {
    let world = throttled().await;
    let guesses = (0..20).map(|guess| {
        let password = format!("guess {guess}");
        let world = &world;
        async move { login(world, ELSEWHERE, EMAIL, &password).await }
    });
    for answer in futures_util::future::join_all(guesses).await {
        if answer.status == 429 {
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(seconds == 1 || seconds == 90, "{seconds}");
        }
    }
}

/// However many replicas have let guesses through at once, they are held against an account for so long only.
#[tokio::test]
async fn no_more_is_held_against_anybody_than_the_most() {
    let world = World::new().await;
    let users = &world.auth.users;
    let subject = "account:somebody".to_owned();
    for guess in 0..60 {
        let guess = format!("{guess:03}");
        users
            .add_attempt(subject.clone(), NOW, 90, 3600, Some(&guess))
            .await
            .unwrap();
        let held = users
            .attempts(std::slice::from_ref(&subject))
            .await
            .unwrap()[0]
            .settled_at;
        assert!(held <= NOW + 3600, "{held}");
    }
    let held = users.attempts(&[subject]).await.unwrap()[0].settled_at;
    assert_eq!(held, NOW + 3600);
}

/// Returns the address of the client that logged in, as the throttle counts it.
async fn client_of(
    client_ip_header: &'static str,
    peer: &str,
    headers: &[(&'static str, &str)],
) -> Option<String> {
    let world = World::of(Setup {
        rates: Some(RATES),
        proxies: "10.0.0.0/8",
        client_ip_header,
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    send(&world, peer, headers, OBTAIN, &body).await.token();
    world.account(1).await.unwrap().last_login_from
}

const PROXY: &str = "10.0.0.1";

#[tokio::test]
async fn x_forwarded_for_is_accepted_from_trusted_proxies_only() {
    for (peer, lines, client) in [
        (PROXY, &["203.0.113.9"][..], "203.0.113.9"),
        (PROXY, &["1.1.1.1,  203.0.113.9 , 10.2.3.4"], "203.0.113.9"),
        (
            PROXY,
            &["1.1.1.1", "[2001:db8::1]:443"],
            "2001:db8:0:0::/64",
        ),
        (PROXY, &["203.0.113.9:1234"], "203.0.113.9"),
        // The last valid address of the trusted hops counts.
        (PROXY, &["unknown, 10.9.9.9"], "10.9.9.9"),
        (PROXY, &[""], PROXY),
        (PROXY, &[], PROXY),
        (HOME, &["203.0.113.9"], HOME),
        ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
    ] {
        let headers: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        let found = client_of("x-forwarded-for", peer, &headers).await;
        assert_eq!(found.as_deref(), Some(client), "{peer} {lines:?}");
    }
}

#[tokio::test]
async fn forwarded_is_accepted_from_trusted_proxies_only() {
    for (peer, lines, client) in [
        (
            PROXY,
            &["for=1.1.1.1, for=203.0.113.9;proto=https"][..],
            "203.0.113.9",
        ),
        (PROXY, &["for=\"[2001:db8::1]:4711\""], "2001:db8:0:0::/64"),
        // Quoted text may be the client's; white space does not count.
        (
            PROXY,
            &["for=203.0.113.9;host=\"evil,for=9.9.9.9\""],
            "203.0.113.9",
        ),
        (PROXY, &["proto=http; for=203.0.113.9 ;"], "203.0.113.9"),
        (
            PROXY,
            &["for=203.0.113.9;host=\"a\\\";for=7.7.7.7\""],
            "203.0.113.9",
        ),
        // An element with two addresses is not valid.
        (PROXY, &["for=1.1.1.1;for=2.2.2.2"], PROXY),
        // A quote that the client does not close would hide the address that the proxy appends.
        (PROXY, &["for=9.9.9.9;by=\", for=203.0.113.9"], PROXY),
        (
            PROXY,
            &["for=9.9.9.9;by=\"", "for=203.0.113.9"],
            "203.0.113.9",
        ),
        (HOME, &["for=203.0.113.9"], HOME),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let found = client_of("forwarded", peer, &headers).await;
        assert_eq!(found.as_deref(), Some(client), "{peer} {lines:?}");
    }
}

/// The proxy sets one of the headers. The client may send any other.
#[tokio::test]
async fn only_the_configured_header_counts() {
    let all = [
        ("forwarded", "for=198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2"),
        ("x-real-ip", "198.51.100.3"),
    ];
    for (header, client) in [
        ("forwarded", "198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2"),
        ("x-real-ip", "198.51.100.3"),
        ("x-client-ip", PROXY),
    ] {
        let found = client_of(header, PROXY, &all).await;
        assert_eq!(found.as_deref(), Some(client), "{header}");
    }
}

#[test]
fn the_throttle_is_a_setting() {
    let home = Home::new();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_THROTTLE_ACCOUNT", "2/1h");
    let service = crate::binary::Service::start(command);
    let guess = |number: u32| {
        let body = json!({ "email": EMAIL, "password": format!("guess {number}") });
        service.post(OBTAIN, &body).0
    };
    assert_eq!([guess(1), guess(2), guess(3)], [400, 400, 429]);

    let add = ["user", "add", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let service = home.serve(&[]);
    for number in 0..3 {
        let body = json!({ "email": EMAIL, "password": format!("guess {number}") });
        assert_eq!(service.post(OBTAIN, &body).0, 400);
    }
    let show = || stdout(&home.run(&["user", "show", EMAIL]));
    assert!(show().contains("failures             3"));
    // Those from the address of the last login are told, too.
    let login = |password: &str| {
        let body = json!({ "email": EMAIL, "password": password });
        service.post(OBTAIN, &body).0
    };
    assert_eq!([login("correct horse"), login("wrong")], [200, 400]);
    assert!(show().contains("failures             4"), "{}", show());
    assert!(show().contains("last_login_from      127.0.0.1"));

    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_THROTTLE", "off")
        .env("SIGNET_THROTTLE_ACCOUNT", "1/1h");
    let service = crate::binary::Service::start(command);
    assert!(
        service.started.contains("the throttle is off"),
        "{}",
        service.started
    );
    for number in 0..3 {
        let body = json!({ "email": EMAIL, "password": format!("guess {number}") });
        assert_eq!(service.post(OBTAIN, &body).0, 400);
    }
    for (name, value, reason) in [
        ("SIGNET_THROTTLE", "maybe", "`on` or `off`"),
        (
            "SIGNET_THROTTLE_ACCOUNT",
            "10",
            "with the time in s, m, h or d",
        ),
        ("SIGNET_TRUSTED_PROXIES", "proxy", "10.0.0.0/8"),
    ] {
        let output = home
            .command(&["serve", "--demo"])
            .env(name, value)
            .output()
            .unwrap();
        let (code, said) = failure(&output);
        assert_eq!(code, 1);
        assert!(said.contains(name) && said.contains(reason), "{said}");
    }
}

/// A service that throttles soon, and an account with the password `correct horse`.
fn soon_throttled(account: &str, address: &str) -> (Home, crate::binary::Service) {
    let mut home = Home::new();
    home.environment.extend([
        ("SIGNET_THROTTLE_ACCOUNT", account.to_owned()),
        ("SIGNET_THROTTLE_ADDRESS", address.to_owned()),
    ]);
    let add = ["user", "add", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let service = home.serve(&[]);
    (home, service)
}

fn try_password(service: &crate::binary::Service, email: &str, password: &str) -> u16 {
    service
        .post(OBTAIN, &json!({ "email": email, "password": password }))
        .0
}

#[test]
fn setting_a_password_lifts_the_lockout_of_the_account() {
    // Counts from the address of the last login, and from elsewhere.
    for known in [false, true] {
        let (home, service) = soon_throttled("2/1h", "100/1h");
        if known {
            assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
        }
        let other = "other@example.com";
        for guess in ["a", "b"] {
            assert_eq!(try_password(&service, EMAIL, guess), 400);
            assert_eq!(try_password(&service, other, guess), 400);
        }
        let passwd = ["user", "passwd", EMAIL, "--password-stdin"];
        stdout(&home.feed(&passwd, "another horse\n"));
        assert!(stdout(&home.run(&["user", "show", EMAIL])).contains("failures             0"));
        assert_eq!(try_password(&service, EMAIL, "another horse"), 200);
        // No other account is unlocked.
        assert_eq!(try_password(&service, other, "another horse"), 429);
    }
}

#[test]
fn unlock_clears_the_count_of_an_account() {
    for known in [false, true] {
        let (home, service) = soon_throttled("2/1h", "100/1h");
        if known {
            assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
        }
        for guess in ["a", "b"] {
            assert_eq!(try_password(&service, EMAIL, guess), 400);
        }
        assert_eq!(try_password(&service, EMAIL, "correct horse"), 429);
        let output = home.run(&["user", "unlock", "JONHDOEQA@email.com"]);
        assert_eq!(
            stdout(&output),
            format!("cleared 2 failures of 1  {EMAIL}\n")
        );
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(
            log.contains(r#""event":"account_unlocked","user_id":1"#),
            "{log}"
        );
        assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
        let again = home.run(&["user", "unlock", EMAIL]);
        assert_eq!(
            stdout(&again),
            format!("cleared 0 failures of 1  {EMAIL}\n")
        );
    }
}

#[test]
fn unlock_clears_the_counts_of_an_address() {
    let (home, service) = soon_throttled("100/1h", "2/1h");
    let garbage = || service.post(REFRESH, &json!({ "token": "x" })).0;
    for guess in ["a", "b"] {
        assert_eq!(try_password(&service, EMAIL, guess), 400);
        assert_eq!(garbage(), 400);
    }
    assert_eq!(try_password(&service, EMAIL, "correct horse"), 429);
    assert_eq!(garbage(), 429);
    let other = home.run(&["user", "unlock", "--address", "127.0.0.2"]);
    assert_eq!(
        stdout(&other),
        "cleared 0 failures of the address 127.0.0.2\n"
    );
    assert_eq!(garbage(), 429);
    // Also as the address of an IPv6 socket.
    let output = home.run(&["user", "unlock", "--address", "::ffff:127.0.0.1"]);
    assert_eq!(
        stdout(&output),
        "cleared 4 failures of the address 127.0.0.1\n"
    );
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains(r#""event":"address_unlocked","address":"127.0.0.1","failures":4"#),
        "{log}"
    );
    assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
    assert_eq!(garbage(), 400);

    // Both at once; any address of an IPv6 network, or the network as `user show` writes it.
    for (address, failures) in [("2001:db8:1:2::7", 2), ("2001:db8:1:2::/64", 0)] {
        let both = ["user", "unlock", EMAIL, "--address", address];
        assert_eq!(
            stdout(&home.run(&both)),
            format!(
                "cleared {failures} failures of 1  {EMAIL}\ncleared 0 failures of the address 2001:db8:1:2::/64\n"
            )
        );
    }
    let unix = home.run(&["user", "unlock", "--address", "unix"]);
    assert_eq!(stdout(&unix), "cleared 0 failures of the address unix\n");
    for (args, part) in [
        (&["user", "unlock"][..], "--address"),
        (&["user", "unlock", "--address", "office"], "office"),
        (&["user", "unlock", "--address", "10.0.0.0/8"], "10.0.0.0/8"),
    ] {
        let (code, said) = failure(&home.run(args));
        assert!(code == 2 && said.contains(part), "{said}");
    }
    let (code, said) = failure(&home.run(&["user", "unlock", "nobody@example.com"]));
    assert!(code == 1 && said.contains("nobody@example.com"), "{said}");
}

/// A header that nobody trusts is worth a warning, but only one.
#[test]
fn an_untrusted_header_is_warned_about_once() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    for _ in 0..3 {
        let request = format!(
            "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        crate::binary::exchange(service.address, request.as_bytes());
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let request = format!(
            "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        crate::binary::exchange(service.address, request.as_bytes());
    }
    service.signal("-TERM");
    let (_, log) = service.wait();
    assert_eq!(log.matches("SIGNET_TRUSTED_PROXIES").count(), 1, "{log}");
}
