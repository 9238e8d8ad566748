//! `/verify` on the listener of the operators: verifies tokens for gateways.

use poem::{
    Endpoint, Response,
    http::{HeaderMap, StatusCode},
};
use serde_json::json;
use signet::http::AdminApi;

use crate::{
    token::with,
    world::{EXPIRES_IN, NOW, World, request},
};

async fn world() -> World {
    let world = World::new().await;
    world.add_documented().await;
    world
}

async fn send(world: &World, headers: &[(&str, &str)]) -> Response {
    let request = request("GET", "/verify", headers, "".into());
    world.admin.get_response(request).await
}

async fn status(world: &World, authorization: &str) -> StatusCode {
    let response = send(world, &[("authorization", authorization)]).await;
    response.status()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

#[tokio::test]
async fn valid_token_gets_204_with_the_account() {
    let world = world().await;
    let token = world.token().await;
    for scheme in ["Bearer", "JWT", "bearer", "jwt"] {
        let response = send(&world, &[("authorization", &format!("{scheme} {token}"))]).await;
        assert_eq!(response.status(), 204, "{scheme}");
        let headers = response.headers();
        assert_eq!(text(headers, "signetuserid"), "1");
        assert_eq!(text(headers, "signetuseremail"), "jonhdoeqa@email.com");
        assert_eq!(text(headers, "cache-control"), "no-store");
    }
}

#[tokio::test]
async fn other_requests_get_401_without_an_account() {
    let world = world().await;
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let tampered = format!("{bearer}A");
    for headers in [
        &[][..],
        &[("authorization", token.as_str())],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer x")],
        &[("authorization", &tampered)],
        &[("authorization", &format!("Basic {token}"))],
        &[("authorization", &bearer), ("authorization", &bearer)],
        &[("x-forwarded-authorization", &bearer)],
        // Headers of a client do not name an account.
        &[("signetuserid", "1")],
    ] {
        let response = send(&world, headers).await;
        assert_eq!(response.status(), 401, "{headers:?}");
        let headers = response.headers();
        let challenge = text(headers, "www-authenticate");
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
        assert_eq!(text(headers, "cache-control"), "no-store");
        assert!(!headers.contains_key("signetuserid"));
    }
}

#[tokio::test]
async fn expiry_revocation_and_disabling_take_effect_immediately() {
    let world = world().await;
    let accounts = &world.auth.accounts;
    let bearer = format!("Bearer {}", world.token().await);
    world.set_clock(NOW + EXPIRES_IN);
    assert_eq!(status(&world, &bearer).await, 204);
    world.set_clock(NOW + EXPIRES_IN + 1);
    assert_eq!(status(&world, &bearer).await, 401);
    world.set_clock(NOW);
    accounts.set_active(1, false).await.unwrap();
    assert_eq!(status(&world, &bearer).await, 401);
    accounts.set_active(1, true).await.unwrap();
    assert_eq!(status(&world, &bearer).await, 204);
    accounts.revoke(1, || world.now()).await.unwrap();
    assert_eq!(status(&world, &bearer).await, 401);
}

/// Envoy forwards the method and the path of the client's request.
#[tokio::test]
async fn method_and_path_below_verify_are_ignored() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.token().await);
    let headers = [("authorization", bearer.as_str())];
    for (method, path, expected) in [
        ("POST", "/verify", 204),
        ("DELETE", "/verify/", 204),
        ("OPTIONS", "/verify/a/b%2f?c=d", 204),
        ("PROPFIND", "/verify//x", 204),
        ("GET", "/verifying", 404),
    ] {
        let response = world
            .admin
            .get_response(request(method, path, &headers, "body".into()))
            .await;
        assert_eq!(response.status(), expected, "{method} {path}");
    }
}

/// Envoy accepts only the status 200.
#[tokio::test]
async fn ext_authz_answers_200_instead_of_204() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.token().await);
    for path in ["/ext-authz", "/ext-authz/app/page?a=b"] {
        let headers = [("authorization", bearer.as_str())];
        let valid = request("GET", path, &headers, "".into());
        let valid = world.admin.get_response(valid).await;
        assert_eq!(valid.status(), 200);
        assert_eq!(text(valid.headers(), "signetuserid"), "1");
        let missing = request("GET", path, &[], "".into());
        assert_eq!(world.admin.get_response(missing).await.status(), 401);
    }
}

#[tokio::test]
async fn gateway_gets_503_until_the_service_has_started() {
    let admin = AdminApi::default().app();
    let response = admin
        .get_response(request("GET", "/verify", &[], "".into()))
        .await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response.headers(), "retry-after"), "1");
}

#[tokio::test]
async fn connection_of_a_gateway_closes_during_the_shutdown() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.token().await);
    world.shutdown.set();
    let response = send(&world, &[("authorization", &bearer)]).await;
    assert_eq!(response.status(), 204);
    assert_eq!(text(response.headers(), "connection"), "close");
}

#[tokio::test]
async fn bug_gets_500_without_its_cause() {
    let world = World::that_panics().await;
    let response = send(&world, &[("authorization", "Bearer x")]).await;
    assert_eq!(response.status(), 500);
    let body = response.into_body().into_string().await.unwrap();
    assert_eq!(body, r#"{"detail":"A server error occurred."}"#);
}

#[tokio::test]
async fn email_in_the_header_is_percent_encoded() {
    let world = World::new().await;
    let email = "50% ü\u{1b}@example.com";
    world.add(1, email, None).await;
    let token = with(json!({ "username": email, "email": email }));
    let response = send(&world, &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(
        text(response.headers(), "signetuseremail"),
        "50%25%20%C3%BC%1B@example.com"
    );
}

#[tokio::test]
async fn unavailable_database_gets_503_only_for_valid_signatures() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.token().await);
    world.db.close_by_ref().await.unwrap();
    let response = send(&world, &[("authorization", &bearer)]).await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response.headers(), "retry-after"), "5");
    // No query is made before the signature is verified.
    assert_eq!(status(&world, "Bearer a.b.c").await, 401);
}

#[tokio::test]
async fn verifications_are_counted_by_result() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.token().await);
    status(&world, &bearer).await;
    status(&world, "Bearer x").await;
    let metrics = request("GET", "/metrics", &[], "".into());
    let metrics = world.admin.get_response(metrics).await;
    let metrics = metrics.into_body().into_string().await.unwrap();
    for line in [
        r#"signet_tokens_verified_total{by="gateway",result="valid"} 1"#,
        r#"signet_tokens_verified_total{by="gateway",result="invalid"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
