//! `POST /v1/auth/jwt/verify/`: checks a token and its account. The operation is optional.

use serde_json::json;
use signet::{
    api::{Document, Operations},
    auth::Quotas,
};

use crate::{
    binary::{Home, Service, stdout},
    throttle::RATES,
    token::with,
    world::{Answer, EXPIRES_IN, LIFETIMES, NOW, REFRESH, REFRESH_WINDOW, Setup, VERIFY, World},
};

const DECODING: &str = "Error decoding signature.";

fn setup() -> Setup {
    Setup {
        operations: Operations::WithVerify,
        ..Setup::default()
    }
}

async fn world() -> World {
    let world = World::of(setup()).await;
    world.add_documented().await;
    world
}

async fn verify(world: &World, token: &str) -> Answer {
    world.post(VERIFY, &json!({ "token": token })).await
}

#[tokio::test]
async fn valid_token_is_returned_with_the_seconds_that_remain() {
    let world = world().await;
    let token = world.token().await;
    for age in [0, 100, EXPIRES_IN] {
        world.set_clock(NOW + age);
        let answer = verify(&world, &format!(" {token}\n")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(
            answer.json(),
            json!({ "type": "JWT", "token": token, "expires_in": EXPIRES_IN - age })
        );
    }
    world.set_clock(NOW + EXPIRES_IN + 1);
    verify(&world, &token)
        .await
        .assert_refused("Signature has expired.");
}

/// Each token fails the check of its row and all later checks.
#[tokio::test]
async fn checks_have_the_order_of_refresh() {
    let world = world().await;
    world.add(2, "disabled@example.com", Some("1234ABCD")).await;
    world.auth.accounts.set_active(2, false).await.unwrap();
    world.auth.accounts.revoke(2, || world.now()).await.unwrap();
    let expired = NOW - 1;
    for (changes, message) in [
        (json!({ "exp": null, "user_id": null }), DECODING),
        (
            json!({ "exp": expired, "user_id": null }),
            "Signature has expired.",
        ),
        (
            json!({ "user_id": null, "username": "x" }),
            "Invalid payload.",
        ),
        (json!({ "user_id": 7 }), "User doesn't exist."),
        (
            json!({ "user_id": 2, "username": "disabled@example.com" }),
            "User account is disabled.",
        ),
    ] {
        verify(&world, &with(changes)).await.assert_refused(message);
    }
    verify(&world, "not a token").await.assert_refused(DECODING);
}

/// djangorestframework-jwt checks `orig_iat` only in a refresh.
#[tokio::test]
async fn token_is_valid_after_its_refresh_window_and_without_the_time_of_its_login() {
    let world = world().await;
    for orig_iat in [json!(NOW - REFRESH_WINDOW - 1), json!(0), json!(null)] {
        let token = with(json!({ "orig_iat": orig_iat }));
        assert_eq!(verify(&world, &token).await.status, 200, "{orig_iat}");
        assert_eq!(world.refresh(&token).await.status, 400, "{orig_iat}");
    }
}

#[tokio::test]
async fn revoked_token_is_rejected() {
    let world = world().await;
    let token = world.token().await;
    world.auth.accounts.revoke(1, || world.now()).await.unwrap();
    verify(&world, &token).await.assert_refused(DECODING);
    // A token without the time of its login may be older than the revocation.
    let undated = with(json!({ "orig_iat": null }));
    verify(&world, &undated).await.assert_refused(DECODING);
    let newer = world.token().await;
    assert_eq!(verify(&world, &newer).await.status, 200);
}

#[tokio::test]
async fn invalid_tokens_are_throttled_together_with_refreshes() {
    let rates = Quotas {
        address: RATES.account,
        ..RATES
    };
    let world = World::of(Setup {
        rates: Some(rates),
        ..setup()
    })
    .await;
    world.add_documented().await;
    let token = world.token().await;
    let send = async |path: &str, token: &str| {
        let mut request = crate::world::post(path, json!({ "token": token }).to_string());
        request.set_data(signet::auth::ClientInfo::at([192, 0, 2, 1].into()));
        world.send(request).await.status
    };
    for guess in 0..10 {
        let path = if guess % 2 == 0 { VERIFY } else { REFRESH };
        assert_eq!(send(path, "x").await, 400);
    }
    assert_eq!(send(VERIFY, "x").await, 429);
    assert_eq!(send(REFRESH, "x").await, 429);
    // A valid token is never limited.
    assert_eq!(send(VERIFY, &token).await, 200);
}

/// The document of the option differs from the contract only by additions.
#[test]
fn document_with_verify_adds_only_the_operation() {
    let contract = Document::build(Operations::Contract, None, LIFETIMES);
    let with_verify = Document::build(Operations::WithVerify, None, LIFETIMES);
    let mut rest = with_verify.value().clone();
    for (parent, name) in [
        ("/paths", VERIFY),
        ("/components/schemas", "VerifyRequest"),
        ("/components/schemas", "VerifyError"),
    ] {
        let parent = rest.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.shift_remove(name).unwrap();
    }
    assert_eq!(rest, *contract.value());
}

#[tokio::test]
async fn operation_does_not_exist_by_default() {
    let world = World::new().await;
    assert_eq!(verify(&world, "x").await.status, 404);
    let document = Document::build(Operations::Contract, None, LIFETIMES);
    assert!(!document.to_json().contains(VERIFY));
}

#[test]
fn setting_adds_the_operation_to_the_service_and_its_document() {
    let home = Home::on_sqlite();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_VERIFY", "on");
    let service = Service::start(command);
    let credentials = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (_, token) = service.post(crate::world::OBTAIN, &credentials);
    let (status, verified) = service.post(VERIFY, &json!({ "token": token["token"] }));
    assert_eq!((status, &verified["token"]), (200, &token["token"]));

    let mut openapi = home.command(&["openapi"]);
    openapi.env("SIGNET_VERIFY", "on");
    let printed = stdout(&openapi.output().unwrap());
    assert!(
        printed == include_str!("../../openapi/openapi-verify.json"),
        "openapi/openapi-verify.json is out of date: run `make openapi`"
    );
}
