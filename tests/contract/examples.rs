//! Sends the request of every documented example. The response must equal the documented response. The
//! snapshot `snapshots/<operation>.<status>.<case>` contains the request and the response.

use std::collections::BTreeSet;

use poem::Body;
use serde_json::{Value, json};
use signet::{
    api::{Cause, Document, Exchange, Operations},
    auth::{ClientInfo, Quotas},
};

use crate::throttle::RATES;
use crate::world::{
    Answer, EXPIRES_IN, LIFETIMES, NOW, REFRESH_WINDOW, Setup, World, is_es256, post, request,
};

#[tokio::test]
async fn documented_examples_match_the_responses_of_the_service() {
    for docs in Operations::WithVerify.documentation(EXPIRES_IN) {
        let path = docs.path.as_str();
        let operation = path.trim_end_matches('/').rsplit('/').next().unwrap();
        for exchange in docs.examples {
            let (sent, answer) = perform(operation, path, &exchange).await;
            let name = format!("{operation}.{}.{}", exchange.status.as_str(), exchange.name);
            assert_eq!(answer.status, exchange.status, "{name}: {}", answer.text);
            assert_as_documented(&name, &answer, &exchange);
            // Tokens of ES256 have random signatures.
            if !is_es256() {
                pin(&name, path, &sent, &answer);
            }
        }
    }
}

/// Ignores the value of an issued token, because it depends on the account, the time and the secret.
fn assert_as_documented(name: &str, answer: &Answer, exchange: &Exchange) {
    let mut documented = exchange.response.clone();
    if documented.get("token").is_some() && exchange.status == 200 {
        documented["token"] = answer.json()["token"].clone();
    }
    assert_eq!(answer.json(), documented, "{name}");
}

fn pin(name: &str, path: &str, sent: &Value, answer: &Answer) {
    let headers = ["allow", "cache-control", "content-type", "retry-after"];
    let headers: serde_json::Map<_, _> = headers
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), answer.header(name)?.into())))
        .collect();
    let exchange = json!({
        "request": { "method": "POST", "path": path, "body": sent },
        "answer": { "status": answer.status.as_u16(), "headers": headers, "body": answer.json() },
    });
    insta::with_settings!({
        snapshot_path => "../../snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_json_snapshot!(name, exchange) });
}

/// Sends the request of the example in a world that causes its response. Returns the body of the request, and the response.
async fn perform(operation: &str, path: &str, exchange: &Exchange) -> (Value, Answer) {
    let setup = match exchange.name {
        "failed" => Setup::that_panics(),
        "too_slow" => Setup::impatient(),
        // Accounts and addresses have the same quota here: one failure expires every 90 seconds.
        "throttled" => {
            let rates = Quotas {
                address: RATES.account,
                ..RATES
            };
            Setup {
                rates: Some(rates),
                ..Setup::default()
            }
        }
        _ => Setup::default(),
    };
    let world = World::of(Setup {
        operations: Operations::WithVerify,
        ..setup
    })
    .await;
    world.add_documented().await;
    let sent = match (&exchange.cause, exchange.name) {
        (Cause::Text { media_type, body }, _) => {
            let headers = [("content-type", *media_type)];
            let answer = world.send(request("POST", path, &headers, (*body).into()));
            let sent = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
            return (sent, answer.await);
        }
        (Cause::Oversized, _) => {
            let answer = world.send(post(path, " ".repeat(65_537))).await;
            return (json!("65,537 spaces"), answer);
        }
        (_, "refreshed" | "verified") => json!({ "token": world.token().await }),
        (Cause::Json(body), _) => body.clone(),
        (Cause::State, "throttled") => {
            for guess in 0..10 {
                let body = json!({ "email": "a@example.com", "password": guess.to_string(), "token": "x" });
                send_from_address(&world, path, &body).await;
            }
            let body = match operation {
                "obtain" => json!({ "email": "a@example.com", "password": "another" }),
                _ => json!({ "token": "not a token" }),
            };
            let answer = send_from_address(&world, path, &body).await;
            return (body, answer);
        }
        (Cause::State, "too_slow") => {
            let body = Body::from_bytes_stream(futures_util::stream::pending::<
                std::io::Result<Vec<u8>>,
            >());
            return (Value::Null, world.send(post(path, body)).await);
        }
        (Cause::State, "failed" | "unavailable") if operation == "obtain" => {
            json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" })
        }
        (Cause::State, "failed") => json!({ "token": "a.b.c" }),
        (Cause::State, "unavailable") => json!({ "token": world.token().await }),
        (Cause::State, name) => json!({ "token": invalid_token(&world, name).await }),
    };
    if exchange.name == "unavailable" {
        world.db.close_by_ref().await.unwrap();
    }
    let answer = world.post(path, &sent).await;
    (sent, answer)
}

/// Returns a token that is invalid for the reason in `name`. May change the account of the token, or the clock.
async fn invalid_token(world: &World, name: &str) -> String {
    let accounts = &world.auth.accounts;
    let token = world.token().await;
    match name {
        "expired_token" => world.set_clock(NOW + EXPIRES_IN + 1),
        "unknown_user" => accounts.delete(1).await.unwrap(),
        "disabled_user" => drop(accounts.set_active(1, false).await.unwrap()),
        "window_passed" => {
            return crate::token::with(json!({ "orig_iat": NOW - REFRESH_WINDOW - 1 }));
        }
        "no_orig_iat" => return crate::token::with(json!({ "orig_iat": null })),
        "no_subject" => return crate::token::with(json!({ "user_id": null })),
        other => panic!("`invalid_token` does not support {other}"),
    }
    token
}

/// The examples have exactly the statuses of the document.
#[test]
fn every_documented_status_has_an_example() {
    let document = Document::build(Operations::WithVerify, None, LIFETIMES);
    let documented: BTreeSet<_> = document.value()["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| {
            let operation = &path["post"];
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let statuses = operation["responses"].as_object().unwrap().keys();
            statuses.map(move |status| (id.clone(), status.clone()))
        })
        .collect();
    let exercised: BTreeSet<_> = Operations::WithVerify
        .documentation(EXPIRES_IN)
        .into_iter()
        .flat_map(|docs| {
            let status = |exchange: &Exchange| exchange.status.as_str().to_owned();
            let statuses: Vec<_> = docs.examples.iter().map(status).collect();
            statuses
                .into_iter()
                .map(move |status| (docs.id.to_owned(), status))
        })
        .collect();
    assert_eq!(documented, exercised);
}

async fn send_from_address(world: &World, path: &str, body: &Value) -> Answer {
    let mut request = post(path, body.to_string());
    request.set_data(ClientInfo::at([192, 0, 2, 1].into()));
    world.send(request).await
}
