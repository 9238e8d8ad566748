//! The hashing queue: limits of time and memory during many concurrent logins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::ready, stream::FuturesUnordered};
use serde_json::json;
use signet::auth::{Argon2Params, ClientInfo, HashPoolLimits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
};

use crate::{
    binary::{Home, exchange, stdout},
    socket::{Server, limits, obtain_request},
    world::{Answer, GENEROUS, OBTAIN, Setup, World, post},
};

const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";

/// Slow enough that a queue forms.
const SLOW: Argon2Params = Argon2Params {
    memory_kib: 16_384,
    iterations: 4,
    parallelism: 1,
};

async fn world_with_one_thread(wait: Duration) -> World {
    let world = World::of(Setup {
        cost: SLOW,
        budget: HashPoolLimits {
            threads: 1,
            wait,
            ..GENEROUS
        },
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    world
}

#[tokio::test]
async fn overload_returns_503_with_retry_after() {
    let world = Arc::new(world_with_one_thread(Duration::from_millis(300)).await);
    world.token().await;
    let storm = (0..64).map(|_| {
        let world = Arc::clone(&world);
        async move { world.obtain(EMAIL, PASSWORD).await }
    });
    let answers = futures_util::future::join_all(storm).await;
    let busy: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    let issued = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(
        !busy.is_empty() && issued > 0,
        "{issued} issued, {} rejected",
        busy.len()
    );
    assert_eq!(busy.len() + issued, answers.len());
    for answer in busy {
        let detail = "Service temporarily unavailable, try again later.";
        assert_eq!(answer.json(), json!({ "detail": detail }));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..60).contains(&seconds), "{seconds}");
    }
    // The service accepts logins again after the overload.
    world.token().await;
}

async fn login_from(world: &World, address: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    let mut request = post(OBTAIN, body.to_string());
    request.set_data(ClientInfo::at(address.parse().unwrap()));
    world.send(request).await
}

/// Starts 200 logins from these addresses, and blocks until six of them are hashed. The remaining logins are then in the queue. Returns the
/// logins and the number of hashed logins.
async fn flood(
    world: &Arc<World>,
    addresses: u8,
    password: fn(u8) -> String,
) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let (hashed, under_way) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
    let logins = (0..200).map(|number| {
        let (world, hashed, under_way) = (
            Arc::clone(world),
            Arc::clone(&hashed),
            Arc::clone(&under_way),
        );
        async move {
            let address = format!("198.51.100.{}", number % addresses);
            let answer = login_from(&world, &address, EMAIL, &password(number)).await;
            assert_ne!(answer.status, 503);
            if hashed.fetch_add(1, Ordering::SeqCst) == 5 {
                under_way.notify_one();
            }
        }
    });
    let logins = logins.collect();
    under_way.notified().await;
    (logins, hashed)
}

/// The queue serves addresses in turn, so a login waits for about one hash of each flooding address.
#[tokio::test]
async fn login_floods_do_not_block_other_addresses() {
    let repeated = |_| "wrong".to_owned();
    let distinct = |number| format!("guess {number}");
    let right = |_| PASSWORD.to_owned();
    let passwords: [fn(u8) -> String; 3] = [repeated, distinct, right];
    for (addresses, password) in passwords.map(|it| [(1, it), (20, it)]).concat() {
        let world = Arc::new(world_with_one_thread(Duration::from_hours(1)).await);
        let (_flood, hashed) = flood(&world, addresses, password).await;
        let before = hashed.load(Ordering::SeqCst);
        let owner = login_from(&world, "192.0.2.1", EMAIL, PASSWORD).await;
        assert_eq!(owner.status, 200, "{addresses} addresses: {}", owner.text);
        let meanwhile = hashed.load(Ordering::SeqCst) - before;
        assert!(
            meanwhile <= usize::from(addresses) + 3,
            "{addresses} addresses: {meanwhile} logins of the flood were hashed first"
        );
    }
}

/// A refresh computes no hash, so it does not wait in the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_do_not_wait_for_logins() {
    let world = Arc::new(world_with_one_thread(Duration::from_mins(10)).await);
    let token = world.token().await;
    let storm: Vec<_> = (0..24)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.token().await })
        })
        .collect();
    for _ in 0..100 {
        world.refresh(&token).await.token();
    }
    let waiting = storm.iter().filter(|login| !login.is_finished()).count();
    assert!(waiting > 0, "100 refreshes took longer than 24 hashes");
    for login in storm {
        login.await.unwrap();
    }
}

/// The queue drops logins of disconnected clients. Otherwise the last login would wait for 40 hashes.
#[tokio::test]
async fn logins_of_disconnected_clients_are_not_hashed() {
    let world = world_with_one_thread(Duration::from_mins(10)).await;
    let server = Server::of(world, limits()).await;
    let single = Instant::now();
    server.exchange(obtain_request(EMAIL, PASSWORD)).await;
    let single = single.elapsed();

    for _ in 0..40 {
        let mut stream = server.connect().await;
        let request = obtain_request(EMAIL, PASSWORD).replace("Connection: close\r\n", "");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let after = Instant::now();
    let answer = server.exchange(obtain_request(EMAIL, PASSWORD)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        after.elapsed() < single * 20,
        "{:?} against {single:?} for one",
        after.elapsed()
    );
}

/// Reads the version and the status of a response.
async fn status_line(stream: &mut TcpStream) -> [u8; 12] {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    start
}

/// A client cannot receive a response after it resets its connection, so its login leaves the queue immediately.
#[tokio::test]
async fn reset_removes_the_login_from_the_queue() {
    for finishes_first in [false, true] {
        let world = world_with_one_thread(Duration::from_secs(1)).await;
        world.token().await;
        let server = Server::of(world, limits()).await;
        let request = obtain_request(EMAIL, PASSWORD);
        // Fills the queue: a queue of one second accepts 100 logins only if a hash takes less than 10 ms.
        let mut clients = Vec::new();
        for _ in 0..100 {
            let mut stream = server.connect().await;
            let kept = request.replace("Connection: close\r\n", "");
            stream.write_all(kept.as_bytes()).await.unwrap();
            clients.push(stream);
        }
        let statuses: FuturesUnordered<_> = clients.iter_mut().map(status_line).collect();
        let is_full = statuses.any(|status| ready(status == *b"HTTP/1.1 503"));
        assert!(is_full.await);
        for mut stream in clients {
            if finishes_first {
                stream.shutdown().await.unwrap();
            }
            stream.set_zero_linger().unwrap();
        }
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// Asserts that many concurrent logins increase the memory of the whole process by at most `budget_kib`, with a tolerance of 10 %. The
/// accounts have these hashes, and a hash for an unknown email uses `own_kib`.
fn assert_stays_within(budget_kib: u64, own_kib: u64, hashes: &[String], logins: usize) {
    let home = Home::new();
    let mut users: Vec<_> = hashes
        .iter()
        .enumerate()
        .map(|(number, hash)| {
            json!({ "model": "a.user", "pk": number + 1, "fields": {
                "email": format!("user{number}@example.com"), "password": hash,
            }})
        })
        .collect();
    users.push(json!({ "model": "a.user", "pk": 99, "fields": { "email": "none@example.com", "password": "!" }}));
    std::fs::write(home.path().join("dump.json"), json!(users).to_string()).unwrap();
    stdout(&home.run(&["user", "import", "dump.json"]));

    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_ARGON2_MEMORY_KIB", own_kib.to_string())
        .env("SIGNET_HASHING_MEMORY_KIB", budget_kib.to_string())
        .env("SIGNET_HASHING_WAIT", "600")
        .env("SIGNET_THROTTLE", "off")
        // This test does not read the log, so the service must not log each login.
        .env("SIGNET_LOG", "signet::cli=info");
    let service = crate::binary::Service::start(command);
    let address = service.address;
    // The first requests allocate memory that is not for hashes.
    for _ in 0..16 {
        exchange(address, obtain_request("", "").as_bytes());
    }
    let idle = service.memory_kib("VmRSS");
    std::thread::scope(|scope| {
        for client in 0..16 {
            scope.spawn(move || {
                for login in 0..logins / 16 {
                    let user = (client + login) % (hashes.len() + 1);
                    let email = format!("user{user}@example.com");
                    let answer = exchange(address, obtain_request(&email, "wrong").as_bytes());
                    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
                }
            });
        }
    });
    let peak = service.memory_kib("VmHWM");
    assert!(
        peak > idle + own_kib * 9 / 10,
        "no login was hashed: {idle} KiB idle, {peak} KiB at most"
    );
    // Connections and requests use some memory, too.
    assert!(
        peak < (idle + budget_kib) * 11 / 10,
        "{idle} KiB idle, {peak} KiB at most"
    );
}

/// The limit has space for one hash only. Two concurrent hashes would exceed it.
#[test]
fn concurrent_logins_stay_within_the_memory_limit() {
    assert_stays_within(20_000, 19_456, &[], 64);
}

/// Hashes of different sizes free memory blocks of different sizes.
#[test]
fn logins_with_imported_hashes_stay_within_the_memory_limit() {
    let argon2 =
        |kib| format!("$argon2id$v=19$m={kib},t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA");
    let scrypt = |n| format!("scrypt${n}$salt$8$1${}==", "A".repeat(86));
    let hashes = [
        argon2(4000),
        argon2(15_000),
        argon2(25_000),
        scrypt(2048),
        scrypt(8192),
        scrypt(16_384),
    ];
    assert_stays_within(40_000, 19_456, &hashes, 480);
}
