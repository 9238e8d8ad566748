//! Counts the instructions of a refresh and its parts with callgrind. The counts repeat even on a noisy machine.
//!
//! Each function runs once before the count. Setup, teardown, the kernel, the connection and the thread of SQLite are not counted.
//! The CPU of valgrind has no SHA-256 instructions, so the count of a signature is too high. The counts depend on the compiler.
//!
//! `make instructions` writes instructions.json, and `make test-instructions` compares the counts with it.
//! This is a benchmark of the crate `signet`. The crate of this folder measures releases from outside.

#![expect(clippy::unwrap_used, reason = "a failed setup must stop the benchmark")]
#![expect(missing_docs, reason = "macros generate the modules")]

use std::{hint::black_box, io, time::Duration};

use gungraun::{library_benchmark, library_benchmark_group, main};
use poem::{
    Endpoint, Request, Response,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use signet::{
    accounts::{self, AccountStore, Limits, NewAccount},
    api::{Document, Operations, Rejection, Validators},
    auth::{
        Argon2Params, Audit, AuthMetrics, AuthService, AuthState, Clock, HashPoolLimits,
        IssuedToken, Lifetimes, PasswordHasher, RateLimiter, Secrets, TokenError, Tokens,
        VerifiedClaims,
    },
    cli::json_layer,
    config::Settings,
    http::{AdminApi, App, AppConfig, build_app},
};
use time::OffsetDateTime;
use tokio::runtime::{self, Runtime};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

const EMAIL: &str = "jonhdoeqa@email.com";
const NOW: i64 = 1_539_737_696;
const MANY: usize = 100;

const LIFETIMES: Lifetimes = Lifetimes {
    expires_in: 3600,
    refresh_window: 604_800,
};

fn tokens() -> Tokens {
    let secrets = Secrets::only(b"counted-with-a-secret-of-no-account-0123456789");
    Tokens::new(&secrets, LIFETIMES).unwrap()
}

fn token() -> (Tokens, String) {
    let tokens = tokens();
    let grant = tokens.issue(1, EMAIL.to_owned(), NOW, NOW);
    assert!(tokens.verify(&grant.token, NOW).is_ok());
    (tokens, grant.token)
}

#[library_benchmark(setup = token)]
fn token_encode((tokens, _): (Tokens, String)) -> (IssuedToken, Tokens) {
    (
        black_box(tokens.issue(1, EMAIL.to_owned(), NOW, NOW)),
        tokens,
    )
}

#[library_benchmark(setup = token)]
fn token_decode((tokens, token): (Tokens, String)) -> (Result<VerifiedClaims, TokenError>, Tokens) {
    (black_box(tokens.verify(&token, NOW)), tokens)
}

fn body(body: Value) -> (Validators, String) {
    let (schemas, body) = (
        Validators::compile(Document::build(Operations::Contract, None, LIFETIMES).value()),
        body.to_string(),
    );
    let _ = schemas.get("ObtainRequest").unwrap().parse(&body);
    (schemas, body)
}

fn good() -> (Validators, String) {
    body(json!({ "email": EMAIL, "password": "1234ABCD" }))
}

/// Returns a body in which all fields are invalid.
fn bad() -> (Validators, String) {
    body(json!({ "email": "jonhdoeqa", "password": null }))
}

#[library_benchmark]
#[bench::good(setup = good)]
#[bench::bad(setup = bad)]
fn validation((schemas, body): (Validators, String)) -> (Result<Value, Rejection>, Validators) {
    let schema = schemas.get("ObtainRequest").unwrap();
    (black_box(schema.parse(&body)), schemas)
}

/// A service with one account, after some requests.
struct World {
    app: App,
    runtime: Runtime,
    body: String,
}

impl World {
    fn new() -> Self {
        tracing_subscriber::registry()
            .with(json_layer(io::sink))
            .with(Settings::default().log.filter())
            .init();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap();
        let (app, token) = runtime.block_on(service());
        let body = json!({ "token": token }).to_string();
        let world = Self { app, runtime, body };
        for _ in 0..MANY {
            assert_eq!(world.refresh().status(), StatusCode::OK);
        }
        world
    }

    fn refresh(&self) -> Response {
        let request = Request::builder()
            .method(Method::POST)
            .uri_str("/v1/auth/jwt/refresh/")
            .header("host", "localhost")
            .content_type("application/json")
            .body(self.body.clone());
        self.runtime.block_on(self.app.get_response(request))
    }
}

async fn service() -> (App, String) {
    let limits = Limits {
        connections: 1.try_into().unwrap(),
        wait: Duration::from_mins(1),
        enforce_statement_timeout: false,
    };
    let db = accounts::open("sqlite::memory:", limits).await.unwrap();
    migration::apply(&db, limits.wait).await.unwrap();
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let cost = Argon2Params {
        memory_kib: 32,
        iterations: 1,
        parallelism: 1,
    };
    let budget = HashPoolLimits {
        threads: 1,
        memory_kib: 32,
        wait: limits.wait,
    };
    let (tokens, token) = token();
    let auth = AuthService::from(AuthState {
        accounts: AccountStore::new(db, limits),
        passwords: PasswordHasher::new(cost, budget).unwrap(),
        tokens,
        rate_limiter: RateLimiter::new(None),
        audit: Audit {
            whole_emails: false,
        },
        metrics: AuthMetrics::default(),
        clock: Clock::new(move || now),
    });
    let account = NewAccount {
        id: Some(1),
        email: EMAIL.to_owned(),
        password: None,
    };
    auth.accounts.add(account, now).await.unwrap();
    let app = build_app(&auth, AppConfig::default(), &AdminApi::default()).app;
    (app, token)
}

// 100 refreshes, since the interleaving of threads changes the count of a single refresh.
#[library_benchmark(setup = World::new)]
fn refreshes(world: World) -> World {
    for _ in 0..MANY {
        black_box(world.refresh());
    }
    world
}

library_benchmark_group!(
    name = parts,
    benchmarks = [token_encode, token_decode, validation, refreshes]
);

main!(library_benchmark_groups = parts);
