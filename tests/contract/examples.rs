//! Every documented exchange, brought about for real: the answer is the documented one, and the
//! whole exchange is pinned in `snapshots/` as `<operation>.<status>.<case>`.

use std::collections::BTreeSet;

use poem::Body;
use serde_json::{Value, json};
use signet::{
    api::{Exchange, documentation},
    auth::{ClientInfo, Quotas},
};

use crate::throttle::RATES;
use crate::world::{
    Answer, EXPIRES_IN, LIFETIMES, NOW, OBTAIN, REFRESH, REFRESH_WINDOW, Setup, World, post,
    request,
};

#[tokio::test]
async fn every_documented_exchange_happens_as_documented() {
    for docs in documentation(EXPIRES_IN) {
        let (operation, path) = match docs.id {
            "obtainToken" => ("obtain", OBTAIN),
            "refreshToken" => ("refresh", REFRESH),
            other => panic!(
                "add the path of {other} here, and the requests of its examples to `bring_about`"
            ),
        };
        for exchange in docs.examples {
            let (sent, answer) = bring_about(operation, path, &exchange).await;
            let name = format!("{operation}.{}.{}", exchange.status.as_str(), exchange.name);
            assert_eq!(answer.status, exchange.status, "{name}: {}", answer.text);
            assert_as_documented(&name, &answer, &exchange);
            pin(&name, path, &sent, &answer);
        }
    }
}

/// Issued tokens differ from the documented one in what depends on the account, time and secret.
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

/// Makes a world in which the exchange happens; returns what was sent, and the answer.
async fn bring_about(operation: &str, path: &str, exchange: &Exchange) -> (Value, Answer) {
    let world = match exchange.name {
        "failed" => World::that_panics().await,
        "too_slow" => World::impatient().await,
        // One failure is forgiven in 90 seconds, whoever is counted.
        "throttled" => {
            let rates = Quotas {
                address: RATES.account,
                ..RATES
            };
            World::of(Setup {
                rates: Some(rates),
                ..Setup::default()
            })
            .await
        }
        _ => World::new().await,
    };
    world.add_documented().await;
    let sent = match (operation, exchange.name) {
        ("obtain", "missing_email") => json!({ "password": "1234ABCD" }),
        ("obtain", "missing_password") => json!({ "email": "jonhdoeqa@email.com" }),
        ("refresh", "missing_token") => json!({}),
        ("obtain", "null_fields") => json!({ "email": null, "password": null }),
        ("obtain", "not_a_string") => json!({ "email": "jonhdoeqa@email.com", "password": 1234 }),
        ("obtain", "null_character") => {
            json!({ "email": "jonhdoeqa@email.com", "password": "1234\0ABCD" })
        }
        ("obtain", "blank_fields") => json!({ "email": "", "password": " " }),
        ("obtain", "failed" | "unavailable") => {
            json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" })
        }
        ("refresh", "blank_token") => json!({ "token": " " }),
        ("refresh", "null_token") => json!({ "token": null }),
        ("refresh", "not_a_string") => json!({ "token": 1234 }),
        ("refresh", "null_character") => json!({ "token": "a.b.c\0" }),
        ("refresh", "failed") => json!({ "token": "a.b.c" }),
        ("refresh", "refreshed" | "unavailable") => json!({ "token": world.token().await }),
        (
            "refresh",
            name @ ("expired_token" | "unknown_user" | "disabled_user" | "window_passed"
            | "no_orig_iat" | "no_subject"),
        ) => {
            json!({ "token": spoiled(&world, name).await })
        }
        (_, "throttled") => {
            for guess in 0..10 {
                let body = json!({ "email": "a@example.com", "password": guess.to_string(), "token": "x" });
                from_somewhere(&world, path, &body).await;
            }
            let body = match operation {
                "obtain" => json!({ "email": "a@example.com", "password": "another" }),
                _ => json!({ "token": "not a token" }),
            };
            let answer = from_somewhere(&world, path, &body).await;
            return (body, answer);
        }
        (_, "malformed") => return (json!("{"), world.send(post(path, "{")).await),
        (_, "too_slow") => {
            let body = Body::from_bytes_stream(futures_util::stream::pending::<
                std::io::Result<Vec<u8>>,
            >());
            return (Value::Null, world.send(post(path, body)).await);
        }
        (_, "too_large") => {
            let answer = world.send(post(path, " ".repeat(65_537))).await;
            return (json!("65,537 spaces"), answer);
        }
        (_, "wrong_media_type") => {
            let body = json!({});
            let headers = [("content-type", "text/plain")];
            let request = request("POST", path, &headers, body.to_string().into());
            return (body, world.send(request).await);
        }
        _ => {
            let request = exchange.request.clone();
            request
                .expect("an answer without a request is brought about here")
                .1
        }
    };
    if exchange.name == "unavailable" {
        world.db.close_by_ref().await.unwrap();
    }
    let answer = world.post(path, &sent).await;
    (sent, answer)
}

/// A token that was good once, and what has happened to it or to its account since.
async fn spoiled(world: &World, name: &str) -> String {
    let users = &world.auth.users;
    let token = world.token().await;
    match name {
        "expired_token" => world.set_clock(NOW + EXPIRES_IN + 1),
        "unknown_user" => users.delete(1).await.unwrap(),
        "disabled_user" => drop(users.set_active(1, false).await.unwrap()),
        "window_passed" => {
            return crate::token::with(json!({ "orig_iat": NOW - REFRESH_WINDOW - 1 }));
        }
        "no_orig_iat" => return crate::token::with(json!({ "orig_iat": null })),
        "no_subject" => return crate::token::with(json!({ "user_id": null })),
        other => panic!("{other} is not brought about here"),
    }
    token
}

/// The exchanges cover the document: no status without one, and none beyond it.
#[test]
fn every_documented_status_has_an_exchange() {
    let document = signet::api::Document::build(None, LIFETIMES);
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
    let exercised: BTreeSet<_> = documentation(EXPIRES_IN)
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

async fn from_somewhere(world: &World, path: &str, body: &Value) -> Answer {
    let mut request = post(path, body.to_string());
    request.set_data(ClientInfo::at([192, 0, 2, 1].into()));
    world.send(request).await
}
