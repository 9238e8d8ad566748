//! Rate limits: a client with too many failures must wait, and no client can lock out another client permanently.

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

/// The default quotas. A failure expires after 90 seconds for an account, and after 9 seconds for an address.
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

/// Sends a request from an address, with these headers.
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
fn assert_rate_limited(answer: &Answer, seconds: u32) {
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
async fn account_is_rate_limited_even_if_it_does_not_exist() {
    let world = throttled().await;
    for email in [EMAIL, "nobody@example.com"] {
        fail(&world, ELSEWHERE, email, 10).await;
        // The limit also applies to the right password, and to the email in upper case.
        assert_rate_limited(
            &login(&world, ELSEWHERE, &email.to_uppercase(), PASSWORD).await,
            90,
        );
    }
    // An invalid request still gets its validation error.
    let faulty = json!({ "email": EMAIL, "password": "" });
    assert_eq!(
        send(&world, ELSEWHERE, &[], OBTAIN, &faulty).await.status,
        400
    );

    world.set_clock(NOW + 89);
    assert_rate_limited(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 1);
    world.set_clock(NOW + 90);
    login(&world, ELSEWHERE, EMAIL, PASSWORD).await.token();
}

#[tokio::test]
async fn successful_login_changes_no_counter() {
    let world = throttled().await;
    for _ in 0..20 {
        login(&world, HOME, EMAIL, PASSWORD).await.token();
    }
    let subjects = ["known", "account", "address"].map(str::to_owned);
    assert_eq!(world.auth.accounts.attempts(&subjects).await.unwrap(), []);

    fail(&world, HOME, EMAIL, 9).await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    fail(&world, HOME, EMAIL, 1).await;
    assert_rate_limited(&login(&world, HOME, EMAIL, PASSWORD).await, 90);
}

#[tokio::test]
async fn repeated_wrong_password_does_not_lock_the_account() {
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

/// Each of five clients repeats one wrong password: three clients for one account, and two clients for other accounts. Together they
/// fail once in 9 seconds, so the failures of the address expire as fast.
#[tokio::test]
async fn clients_with_old_passwords_do_not_lock_the_account_or_the_address() {
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

/// A repeated guess gives an attacker no new information, so the account does not count it. The address counts it, because the
/// service computes a hash for each guess.
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
            assert_rate_limited(&login(&world, ELSEWHERE, email, password).await, 9);
        }
        // The account is not locked out at other addresses, even if the owner never logged in before.
        login(&world, HOME, EMAIL, PASSWORD).await.token();
        assert_eq!(login(&world, HOME, email, "old").await.status, 400);
    }
}

/// A wrong clock can store a counter that expires far in the future. After the clock is set back, such a counter is lowered to the
/// maximum of four periods.
#[tokio::test]
async fn clock_set_back_limits_the_lockout_to_the_maximum() {
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
            .failures(&world.auth.accounts, now, &user);
        assert_eq!(failures.await.unwrap(), 40, "{step}");
        let seconds = |seconds: i64| u32::try_from(seconds).unwrap();
        assert_rate_limited(
            &login(&world, HOME, EMAIL, PASSWORD).await,
            seconds(account),
        );
        assert_rate_limited(
            &login(&world, ELSEWHERE, "jane@example.com", PASSWORD).await,
            seconds(address),
        );
        assert_rate_limited(&refresh(&world, HOME, "garbage").await, seconds(address));
        world.set_clock(NOW + account);
        login(&world, HOME, EMAIL, PASSWORD).await.token();
        login(&world, ELSEWHERE, EMAIL, PASSWORD).await.token();
        refresh(&world, HOME, "garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
}

/// The counters are lowered even if no request reads them.
#[tokio::test]
async fn maintenance_lowers_counters_of_a_wrong_clock() {
    let world = throttled().await;
    world.set_clock(NOW + 365 * 86_400);
    fail(&world, HOME, EMAIL, 10).await;
    world.set_clock(NOW);
    fail(&world, ELSEWHERE, "jane@example.com", 1).await;
    world.auth.run_maintenance().await.unwrap();
    world.set_clock(NOW + 3600 + 90 - 900);
    login(&world, HOME, EMAIL, PASSWORD).await.token();
}

/// Adds this many expired counters.
async fn add_expired(world: &World, count: usize) {
    let rows: Vec<_> = (0..count)
        .map(|number| format!("('address:{number}', 0)"))
        .collect();
    let rows = rows.join(", ");
    let insert = format!("INSERT INTO attempts (subject, settled_at) VALUES {rows}");
    world.db.execute_unprepared(&insert).await.unwrap();
}

/// A write waits at most for one small batch, and not for the whole cleanup.
#[tokio::test]
async fn cleanup_lets_logins_write_between_batches() {
    const SETTLED: u64 = 9_000;
    let world = throttled().await;
    add_expired(&world, 9_000).await;
    let count = || async {
        let kinds = ["address"];
        let counted = world.auth.accounts.attempts_after(&kinds, -1).await;
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
            .accounts
            .add_attempt(subject, NOW * 1000, 1000, 1000, None);
        added.await.unwrap();
        assert!(count().await > 1, "the cleanup blocked the write");
    };
    tokio::join!(cleanup, logins);
    assert_eq!(count().await, 1);
}

/// One counter in ten has not expired.
#[tokio::test]
async fn cleanup_deletes_only_expired_counters() {
    let world = throttled().await;
    add_expired(&world, 2_500).await;
    let keep = "UPDATE attempts SET settled_at = 9000000000000 WHERE subject LIKE 'address:%7'";
    world.db.execute_unprepared(keep).await.unwrap();
    world
        .auth
        .accounts
        .delete_expired_attempts(NOW * 1000)
        .await
        .unwrap();
    let left = world.auth.accounts.attempts_after(&["address"], -1).await;
    assert_eq!(left.unwrap(), 250);
}

/// While the clock is wrong, a login stores a last login in the future. A revocation then sets its cutoff after that login. Neither
/// prevents a later login.
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
        let revoked = world.auth.accounts.revoke(1, || now).await.unwrap();
        assert_eq!(revoked.tokens_valid_after, NOW + step + 1);
        for token in [&early, &late] {
            refresh(&world, HOME, token)
                .await
                .assert_refused("Error decoding signature.");
        }
        // Maintenance does not lower the cutoff.
        world.auth.run_maintenance().await.unwrap();
        let token = login(&world, HOME, EMAIL, PASSWORD).await.token();
        refresh(&world, HOME, &token).await.token();
        refresh(&world, HOME, &early)
            .await
            .assert_refused("Error decoding signature.");
    }
}

/// A client of a Unix socket has no IP address. Without a trusted proxy on the socket, all its clients count as one client.
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
    assert_rate_limited(&world.obtain(EMAIL, PASSWORD).await, 9);
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..100 {
        world
            .refresh("garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
    assert_rate_limited(&world.refresh("garbage").await, 9);
}

/// A client that has disconnected.
#[derive(Debug)]
struct Disconnected;

impl DisconnectWatcher for Disconnected {
    fn disconnected(&self, _: Duration) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// A guess counts as a failure even if the client disconnects before the response.
#[tokio::test]
async fn disconnecting_early_does_not_avoid_the_rate_limit() {
    let world = throttled().await;
    for guess in 0..10 {
        let caller = ClientInfo::watched(ELSEWHERE.parse().ok(), Arc::new(Disconnected));
        let body = json!({ "email": EMAIL, "password": format!("guess {guess}") });
        let mut request = post(OBTAIN, body.to_string());
        request.set_data(caller);
        world.send(request).await;
    }
    assert_rate_limited(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 90);
}

#[tokio::test]
async fn attacker_at_another_address_does_not_lock_the_owner_out() {
    let world = throttled().await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    fail(&world, ELSEWHERE, EMAIL, 10).await;
    assert_rate_limited(&login(&world, ELSEWHERE, EMAIL, "another guess").await, 90);
    assert_rate_limited(
        &login(&world, "203.0.113.1", EMAIL, "another guess").await,
        90,
    );
    login(&world, HOME, EMAIL, PASSWORD).await.token();
}

#[tokio::test]
async fn address_is_rate_limited_across_accounts() {
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
    // The limit applies to the whole network of 64 bits, and to every account.
    assert_rate_limited(
        &login(&world, "2001:db8:1:2:ffff::1", EMAIL, PASSWORD).await,
        9,
    );
    login(&world, "2001:db8:1:3::7", EMAIL, PASSWORD)
        .await
        .token();
}

/// The response is the same for an account whose last login was from this address.
#[tokio::test]
async fn rate_limited_address_does_not_reveal_known_accounts() {
    let world = throttled().await;
    login(&world, HOME, EMAIL, PASSWORD).await.token();
    for number in 0..100 {
        fail(&world, HOME, &format!("user{number}@example.com"), 1).await;
    }
    assert_rate_limited(&login(&world, HOME, "nobody@example.com", "wrong").await, 9);
    assert_rate_limited(&login(&world, HOME, EMAIL, "wrong").await, 9);
}

#[tokio::test]
async fn invalid_tokens_are_rate_limited_by_address_and_valid_ones_are_not() {
    let world = throttled().await;
    let token = login(&world, HOME, EMAIL, PASSWORD).await.token();
    for _ in 0..100 {
        refresh(&world, HOME, "garbage")
            .await
            .assert_refused("Error decoding signature.");
    }
    assert_rate_limited(&refresh(&world, HOME, "garbage").await, 9);
    refresh(&world, HOME, &token).await.token();
    refresh(&world, ELSEWHERE, "garbage")
        .await
        .assert_refused("Error decoding signature.");
    // Invalid tokens and failed logins have separate counters.
    assert_eq!(login(&world, HOME, EMAIL, "wrong").await.status, 400);
}

/// The counters are stored in the database, so another replica and a restarted service read the same counters.
#[tokio::test]
async fn replicas_and_restarts_share_the_counters() {
    let world = throttled().await;
    fail(&world, ELSEWHERE, EMAIL, 10).await;
    let now = world.now();
    let replica = AuthService::from(AuthState {
        accounts: AccountStore::new(world.db.clone(), LIMITS),
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

/// The service rejects some of many concurrent guesses, and counts the guesses that it accepts.
#[tokio::test]
async fn concurrent_guesses_do_not_exceed_the_quota() {
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
    // Concurrent logins with the right password are all accepted, because they use the same password.
    let world = throttled().await;
    assert_eq!(volley(&world, PASSWORD).await, [64, 0, 0]);
    fail(&world, ELSEWHERE, EMAIL, 1).await;
    assert_eq!(volley(&world, PASSWORD).await, [64, 0, 0]);
    // While a failure is being recorded, it may count twice. So fewer guesses may pass, but never more than the remaining nine.
    let [right, tried, refused] = volley(&world, "guess #").await;
    assert_eq!((right, tried + refused), (0, 64));
    assert!((1..=9).contains(&tried), "{tried} guesses were tried");

    // The same limit applies to an account without failures.
    let world = throttled().await;
    let [right, tried, refused] = volley(&world, "guess #").await;
    assert_eq!((right, tried + refused), (0, 64));
    assert!((1..=10).contains(&tried), "{tried} guesses were tried");
    // Concurrent guesses count like sequential guesses.
    let tried = u32::try_from(tried).unwrap();
    fail(&world, ELSEWHERE, EMAIL, 10 - tried).await;
    assert_rate_limited(&login(&world, ELSEWHERE, EMAIL, PASSWORD).await, 90);
}

#[tokio::test]
async fn maintenance_deletes_only_expired_counters() {
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
    assert_eq!(rows().await, 1, "the counter of one account remains");
}

/// If only attempts in flight cause the rejection, the client may retry after one second.
#[tokio::test]
async fn attempts_in_flight_cause_a_wait_of_one_second() {
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

/// Many replicas may accept guesses at the same time. The counter of an account still has a maximum.
#[tokio::test]
async fn counter_does_not_exceed_its_maximum() {
    let world = World::new().await;
    let accounts = &world.auth.accounts;
    let subject = "account:somebody".to_owned();
    for guess in 0..60 {
        let guess = format!("{guess:03}");
        accounts
            .add_attempt(subject.clone(), NOW, 90, 3600, Some(&guess))
            .await
            .unwrap();
        let settled_at = accounts
            .attempts(std::slice::from_ref(&subject))
            .await
            .unwrap()[0]
            .settled_at;
        assert!(settled_at <= NOW + 3600, "{settled_at}");
    }
    let settled_at = accounts.attempts(&[subject]).await.unwrap()[0].settled_at;
    assert_eq!(settled_at, NOW + 3600);
}

/// Logs in, and returns the client's address as the rate limiter counts it.
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
        // A client may control the quoted text. White space is ignored.
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

/// The proxy sets one header. A client can send the other headers.
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
fn rate_limits_are_configurable() {
    let home = Home::new();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_THROTTLE_ACCOUNT", "2/1h");
    let service = crate::binary::Service::start(command);
    let guess = |number: u32| {
        let body = json!({ "email": EMAIL, "password": format!("guess {number}") });
        service.post(OBTAIN, &body).0
    };
    assert_eq!([guess(1), guess(2), guess(3)], [400, 400, 429]);

    let add = ["user", "create", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
    let service = home.serve(&[]);
    for number in 0..3 {
        let body = json!({ "email": EMAIL, "password": format!("guess {number}") });
        assert_eq!(service.post(OBTAIN, &body).0, 400);
    }
    let show = || stdout(&home.run(&["user", "show", EMAIL]));
    assert!(show().contains("failures\t3"));
    // The output includes failures from the address of the last login.
    let login = |password: &str| {
        let body = json!({ "email": EMAIL, "password": password });
        service.post(OBTAIN, &body).0
    };
    assert_eq!([login("correct horse"), login("wrong")], [200, 400]);
    assert!(show().contains("failures\t4"), "{}", show());
    assert!(show().contains("last_login_from\t127.0.0.1"));

    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_THROTTLE", "off")
        .env("SIGNET_THROTTLE_ACCOUNT", "1/1h");
    let service = crate::binary::Service::start(command);
    assert!(
        service.started.contains("rate limiting is off"),
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
            "units of time are s, m, h and d",
        ),
        ("SIGNET_TRUSTED_PROXIES", "proxy", "10.0.0.0/8"),
    ] {
        let output = home
            .command(&["serve", "--demo"])
            .env(name, value)
            .output()
            .unwrap();
        let (code, said) = failure(&output);
        assert_eq!(code, 2);
        assert!(said.contains(name) && said.contains(reason), "{said}");
    }
}

/// Starts a service with these quotas, and adds an account with the password `correct horse`.
fn serve_with_quotas(account: &str, address: &str) -> (Home, crate::binary::Service) {
    let mut home = Home::new();
    home.environment.extend([
        ("SIGNET_THROTTLE_ACCOUNT", account.to_owned()),
        ("SIGNET_THROTTLE_ADDRESS", address.to_owned()),
    ]);
    let add = ["user", "create", EMAIL, "--password-stdin"];
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
fn setting_a_password_unlocks_the_account() {
    // The failures are from another address, and then from the address of the last login.
    for known in [false, true] {
        let (home, service) = serve_with_quotas("2/1h", "100/1h");
        if known {
            assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
        }
        let other = "other@example.com";
        for guess in ["a", "b"] {
            assert_eq!(try_password(&service, EMAIL, guess), 400);
            assert_eq!(try_password(&service, other, guess), 400);
        }
        let passwd = ["user", "set-password", EMAIL, "--password-stdin"];
        stdout(&home.feed(&passwd, "another horse\n"));
        assert!(stdout(&home.run(&["user", "show", EMAIL])).contains("failures\t0"));
        assert_eq!(try_password(&service, EMAIL, "another horse"), 200);
        // No other account is unlocked.
        assert_eq!(try_password(&service, other, "another horse"), 429);
    }
}

#[test]
fn unlock_clears_the_counters_of_an_account() {
    for known in [false, true] {
        let (home, service) = serve_with_quotas("2/1h", "100/1h");
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
            format!("cleared 2 failed logins of account 1 ({EMAIL})\n")
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
            format!("cleared 0 failed logins of account 1 ({EMAIL})\n")
        );
    }
}

#[test]
fn unlock_clears_the_counters_of_an_address() {
    let (home, service) = serve_with_quotas("100/1h", "2/1h");
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
        "cleared 0 failed logins of the address 127.0.0.2\n"
    );
    assert_eq!(garbage(), 429);
    // An IPv4-mapped IPv6 address refers to the same client.
    let output = home.run(&["user", "unlock", "--address", "::ffff:127.0.0.1"]);
    assert_eq!(
        stdout(&output),
        "cleared 4 failed logins of the address 127.0.0.1\n"
    );
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains(r#""event":"address_unlocked","address":"127.0.0.1","failures":4"#),
        "{log}"
    );
    assert_eq!(try_password(&service, EMAIL, "correct horse"), 200);
    assert_eq!(garbage(), 400);

    // The command accepts an email and an address together. The address is any address of an IPv6 network, or the network in the format
    // of `user show`.
    for (address, failures) in [("2001:db8:1:2::7", 2), ("2001:db8:1:2::/64", 0)] {
        let both = ["user", "unlock", EMAIL, "--address", address];
        assert_eq!(
            stdout(&home.run(&both)),
            format!(
                "cleared {failures} failed logins of account 1 ({EMAIL})\ncleared 0 failed logins of the address 2001:db8:1:2::/64\n"
            )
        );
    }
    let unix = home.run(&["user", "unlock", "--address", "unix"]);
    assert_eq!(
        stdout(&unix),
        "cleared 0 failed logins of the address unix\n"
    );
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

/// The service logs only one warning about headers from untrusted senders.
#[test]
fn untrusted_header_is_logged_once() {
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
