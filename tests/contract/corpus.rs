//! The corpus: literal requests and answers at a frozen clock, replayed in process, none left out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    binary::{Home, stdout},
    world::{Answer, EXPIRES_IN, NOW, REFRESH_WINDOW, SECRET, World, request},
};

#[derive(Deserialize)]
struct Corpus {
    clock: i64,
    secret: String,
    expires_in: i64,
    refresh_window: i64,
    users: Vec<User>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct User {
    id: i64,
    email: String,
    password: Option<String>,
    is_active: bool,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    request: Request,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: Option<u16>,
    status_one_of: Option<Vec<u16>>,
    body: Option<Value>,
    detail_starts_with: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

impl Corpus {
    fn read() -> Self {
        let corpus: Self = serde_json::from_str(include_str!("corpus.json")).unwrap();
        assert_eq!((corpus.clock, &*corpus.secret), (NOW, SECRET));
        assert_eq!(
            (corpus.expires_in, corpus.refresh_window),
            (EXPIRES_IN, REFRESH_WINDOW)
        );
        assert_eq!(corpus.cases.len(), 459);
        corpus
    }

    async fn replay(&self, world: &World) {
        let mut wrong = Vec::new();
        for case in &self.cases {
            let answer = world.send(case.request.build()).await;
            if let Err(why) = case.expect.check(&case.request, &answer) {
                wrong.push(format!(
                    "{}: {why}, got {} {}",
                    case.name, answer.status, answer.text
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} rows:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

#[tokio::test]
async fn every_row_is_answered_as_expected() {
    let corpus = Corpus::read();
    let world = World::new().await;
    for user in &corpus.users {
        world
            .add(user.id, &user.email, user.password.as_deref())
            .await;
        if !user.is_active {
            world.auth.users.set_active(user.id, false).await.unwrap();
        }
    }
    corpus.replay(&world).await;
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
    world.auth.match_stand_in().await.unwrap();
    Corpus::read().replay(&world).await;
}

impl Request {
    fn build(&self) -> poem::Request {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let body = match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => panic!("a body is given once"),
        };
        request(&self.method, &self.path, &headers, body.into())
    }
}

impl Expect {
    fn check(&self, request: &Request, answer: &Answer) -> Result<(), String> {
        let status = answer.status.as_u16();
        match (self.status, &self.status_one_of) {
            (Some(wanted), None) if wanted == status => {}
            (None, Some(wanted)) if wanted.contains(&status) => {}
            wanted => return Err(format!("wanted {wanted:?}")),
        }
        if let Some(body) = &self.body
            && answer.json() != *body
        {
            return Err(format!("wanted {body}"));
        }
        if let Some(start) = &self.detail_starts_with {
            let body = answer.json();
            let detail = body["detail"].as_str().unwrap_or_default();
            if !detail.starts_with(start) || body.as_object().unwrap().len() != 1 {
                return Err(format!("wanted a detail that starts with {start:?}"));
            }
        }
        for (name, value) in &self.headers {
            if answer.header(name) != value.as_str() {
                return Err(format!("wanted {name}: {value}"));
            }
        }
        if request.method == "OPTIONS"
            && answer.status.is_success()
            && answer.header("allow") != Some("POST, OPTIONS")
        {
            return Err("OPTIONS must tell the methods".to_owned());
        }
        assert_headers(answer);
        Ok(())
    }
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
