//! The corpus: requests to the Django service that this service replaces, with its responses, and the intended differences. All requests
//! are replayed at a fixed time.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use signet::cli::{Case, ExpectedResponse, Request};

use crate::{
    binary::{Home, stdout},
    signing_keys::as_hs256,
    world::{Answer, EXPIRES_IN, NOW, REFRESH_WINDOW, SECRET, World, request},
};

const CORPUS: &str = include_str!("corpus.json");
/// The requests of `signet verify-compat`.
const COMPAT_CASES: &str = include_str!("../../src/cli/verify/cases.json");

#[derive(Deserialize)]
struct Corpus {
    /// The fixed time in Unix seconds.
    clock: i64,
    /// The secret that signed the tokens.
    secret: String,
    /// The lifetime of tokens in seconds.
    expires_in: i64,
    /// The refresh window in seconds.
    refresh_window: i64,
    users: Vec<Account>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    email: String,
    /// The password, or `None` without a usable password.
    password: Option<String>,
    is_active: bool,
}

fn read() -> Corpus {
    let corpus: Corpus = serde_json::from_str(CORPUS).unwrap();
    assert_eq!((corpus.clock, &*corpus.secret), (NOW, SECRET));
    assert_eq!(
        (corpus.expires_in, corpus.refresh_window),
        (EXPIRES_IN, REFRESH_WINDOW)
    );
    assert_eq!(corpus.cases.len(), 459);
    corpus
}

/// Returns whether the responses are independent of accounts, tokens and the clock.
fn is_stateless(case: &Case) -> bool {
    let request = case.request.body.as_deref().unwrap_or_default();
    let is_stateless = |response: &ExpectedResponse| {
        let mut statuses = response
            .status
            .iter()
            .chain(response.status_one_of.iter().flatten());
        let error = response
            .body
            .as_ref()
            .map(|body| &body["non_field_errors"][0]);
        let error = error.and_then(Value::as_str).unwrap_or("Invalid data");
        !response.token
            && statuses.all(|status| *status != 200)
            && error.starts_with("Invalid data")
    };
    !request.contains("eyJ")
        && is_stateless(&case.expect)
        && case.reference.iter().all(is_stateless)
}

/// Returns the parts of a case that a request of `signet verify-compat` must cover: the operation and the responses.
fn covered(case: &Value) -> String {
    let request = &case["request"];
    let path = request["path"].as_str().unwrap().split('?').next();
    let responses = [&case["expect"], &case["reference"], &case["because"]];
    format!("{path:?} {} {responses:?}", request["method"])
}

async fn replay(corpus: &Corpus, world: &World) {
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let answer = world.send(build(&case.request)).await;
        let status = answer.status.as_u16();
        let body = as_hs256(world, &answer.text).await;
        let expected = case.expect.check(status, &body, |name| answer.header(name));
        if let Err(why) = expected {
            wrong.push(format!(
                "{}: {why}, got {status} {}",
                case.name, answer.text
            ));
        }
        if case.request.method == "OPTIONS" && answer.status.is_success() {
            assert_eq!(
                answer.header("allow"),
                Some("POST, OPTIONS"),
                "{}",
                case.name
            );
        }
        assert_headers(&answer);
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn service_returns_every_response_of_the_corpus() {
    let corpus = read();
    let world = World::new().await;
    for user in &corpus.users {
        world
            .add(user.id, &user.email, user.password.as_deref())
            .await;
        if !user.is_active {
            world
                .auth
                .accounts
                .set_active(user.id, false)
                .await
                .unwrap();
        }
    }
    replay(&corpus, &world).await;
}

/// The accounts are imported from a dump of the Django service, with their hashes.
#[tokio::test]
async fn imported_accounts_get_every_response_of_the_corpus() {
    let world = World::new().await;
    let home = Home::new();
    let dump = home.path().join("dump.json");
    std::fs::write(&dump, include_str!("django-dump.json")).unwrap();
    let mut import = home.command(&["user", "import", "dump.json"]);
    let imported = import.env("SIGNET_DATABASE_URL", &world.url).output();
    assert_eq!(
        stdout(&imported.unwrap()),
        "28 added, 0 updated, 0 unchanged, 0 skipped, 2 with a warning \
         (argon2 1, pbkdf2_sha256 26, unusable 1)\n"
    );
    world.auth.refresh_dummy_hash().await.unwrap();
    replay(&read(), &world).await;
}

/// The list of `signet verify-compat` has at least one request for each response of each operation.
#[test]
fn compat_cases_cover_every_stateless_response_of_the_corpus() {
    let corpus: Value = serde_json::from_str(CORPUS).unwrap();
    let compat: Vec<Value> = serde_json::from_str(COMPAT_CASES).unwrap();
    let same_as = |case: &Value, other: &Value| {
        ["name", "request", "expect", "because", "reference"]
            .iter()
            .all(|field| case[field] == other[field])
    };
    let corpus = corpus["cases"].as_array().unwrap();
    for case in &compat {
        assert!(
            corpus.iter().any(|other| same_as(case, other)),
            "{case} is not in the corpus"
        );
    }
    let found: BTreeSet<_> = compat.iter().map(covered).collect();
    for case in corpus {
        let parsed: Case = serde_json::from_value(case.clone()).unwrap();
        assert!(
            !is_stateless(&parsed) || found.contains(&covered(case)),
            "no request covers {case}"
        );
    }
}

fn build(literal: &Request) -> poem::Request {
    let headers: Vec<_> = literal
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let body = match (&literal.body, &literal.body_base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => panic!("a request has one body"),
    };
    request(&literal.method, &literal.path, &headers, body.into())
}

/// Asserts the headers that every response has, and that media types have no parameters.
fn assert_headers(answer: &Answer) {
    if answer.status.is_client_error() {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.json();
    }
    if !answer.status.is_redirection() {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(16));
}
