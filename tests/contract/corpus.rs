//! The corpus: literal requests and answers at a frozen clock, replayed in process, none left out.

use base64::{Engine, engine::general_purpose::STANDARD};
use signet::api::corpus::{Corpus, Request};

use crate::{
    binary::{Home, stdout},
    world::{Answer, EXPIRES_IN, NOW, REFRESH_WINDOW, SECRET, World, request},
};

fn read() -> Corpus {
    let corpus = Corpus::read();
    assert_eq!((corpus.clock, &*corpus.secret), (NOW, SECRET));
    assert_eq!(
        (corpus.expires_in, corpus.refresh_window),
        (EXPIRES_IN, REFRESH_WINDOW)
    );
    assert_eq!(corpus.cases.len(), 459);
    corpus
}

async fn replay(corpus: &Corpus, world: &World) {
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let answer = world.send(build(&case.request)).await;
        let status = answer.status.as_u16();
        let expected = case
            .expect
            .check(status, &answer.text, |name| answer.header(name));
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
async fn every_row_is_answered_as_expected() {
    let corpus = read();
    let world = World::new().await;
    for user in &corpus.users {
        world
            .add(user.id, &user.email, user.password.as_deref())
            .await;
        if !user.is_active {
            world.auth.users.set_active(user.id, false).await.unwrap();
        }
    }
    replay(&corpus, &world).await;
}

/// The same accounts as Django dumped them, with its hashes, and brought in by one command.
#[tokio::test]
async fn every_row_is_answered_as_expected_after_an_import() {
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
        (Some(_), Some(_)) => panic!("a body is given once"),
    };
    request(&literal.method, &literal.path, &headers, body.into())
}

/// What every error has; and no media type has parameters.
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
