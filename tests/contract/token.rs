//! The token: its bytes, its claims, and the order of the checks that reject a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::signing_keys::as_hs256;
use crate::world::{EXPIRES_IN, NOW, REFRESH_WINDOW, SECRET, World};

/// The header and the payload of the token in the documented response. The signature is left out, because its secret is unknown.
const DOCUMENTED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxLCJ1c2VybmFtZSI6ImpvaG4uZG9lQGVtYWlsLmNvbSIsImV4cCI6MTUzOTc0MTI5NiwiZW1haWwiOiJqb2huLmRvZUBlbWFpbC5jb20iLCJvcmlnX2lhdCI6MTUzOTczNzY5Nn0";

const DECODING: &str = "Error decoding signature.";

/// Signs any header and payload, also invalid ones.
fn sign(header: &Value, payload: &Value) -> String {
    sign_bytes(
        header.to_string().as_bytes(),
        payload.to_string().as_bytes(),
    )
}

pub(crate) fn sign_under(secret: &[u8], claims: &Value) -> String {
    sign_with(secret, br#"{"alg":"HS256"}"#, claims.to_string().as_bytes())
}

/// Signs a payload as the service does with HS256.
pub(crate) fn signed_by_secret(payload: &[u8]) -> String {
    sign_bytes(br#"{"typ":"JWT","alg":"HS256"}"#, payload)
}

fn sign_bytes(header: &[u8], payload: &[u8]) -> String {
    sign_with(SECRET.as_bytes(), header, payload)
}

fn sign_with(secret: &[u8], header: &[u8], payload: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret)
        .unwrap()
        .chain_update(&message);
    format!(
        "{message}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

pub(crate) fn claims() -> Value {
    json!({
        "user_id": 1,
        "username": "jonhdoeqa@email.com",
        "exp": NOW + 3000,
        "email": "jonhdoeqa@email.com",
        "orig_iat": NOW - 600,
    })
}

/// Returns the usual token with some claims changed. The value null removes a claim.
pub(crate) fn with(changes: Value) -> String {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    sign(&json!({ "typ": "JWT", "alg": "HS256" }), &claims)
}

#[tokio::test]
async fn header_and_payload_match_the_documented_bytes() {
    let world = World::new().await;
    world.add(1, "john.doe@email.com", Some("1234ABCD")).await;

    let obtained = world.obtain("john.doe@email.com", "1234ABCD").await;
    let body = as_hs256(&world, &obtained.text).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let documented = body["token"].as_str().unwrap();
    assert_eq!(documented.rsplit_once('.').unwrap().0, DOCUMENTED);
    let obtained = obtained.token();

    // A refresh in the second of issue returns the same token.
    assert_eq!(world.refresh(&obtained).await.token(), obtained);
}

#[tokio::test]
async fn later_refresh_moves_exp_and_keeps_orig_iat() {
    let world = World::new().await;
    world.add_documented().await;
    let token = world.token().await;

    world.set_clock(NOW + 100);
    let refreshed = world.refresh(&token).await.token();
    let payload = URL_SAFE_NO_PAD
        .decode(refreshed.split('.').nth(1).unwrap())
        .unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        format!(
            r#"{{"user_id":1,"username":"jonhdoeqa@email.com","exp":{},"email":"jonhdoeqa@email.com","orig_iat":{NOW}}}"#,
            NOW + 100 + EXPIRES_IN
        )
    );
}

#[tokio::test]
async fn expiry_and_window_are_exact_to_the_second() {
    let world = World::new().await;
    world.add_documented().await;
    let token = world.token().await;

    world.set_clock(NOW + EXPIRES_IN);
    world.refresh(&token).await.token();
    world.set_clock(NOW + EXPIRES_IN + 1);
    world
        .refresh(&token)
        .await
        .assert_refused("Signature has expired.");

    let end = NOW + REFRESH_WINDOW;
    let long = with(json!({ "orig_iat": NOW, "exp": end + 10 }));
    world.set_clock(end);
    world.refresh(&long).await.token();
    world.set_clock(end + 1);
    world
        .refresh(&long)
        .await
        .assert_refused("Refresh has expired.");
}

/// Each token also fails all later checks. The response has the error of the first check.
#[tokio::test]
async fn checks_are_made_in_the_documented_order() {
    let world = World::new().await;
    world.add_documented().await;
    world.add(2, "off@example.com", Some("1234ABCD")).await;
    world.auth.accounts.set_active(2, false).await.unwrap();
    world.auth.accounts.revoke(2, || world.now()).await.unwrap();
    world.auth.accounts.revoke(1, || world.now()).await.unwrap();

    let expired = json!({ "exp": NOW - 1, "user_id": null, "username": null, "orig_iat": null });
    let mut forged = with(expired.clone());
    forged.pop();
    world.refresh(&forged).await.assert_refused(DECODING);
    world
        .refresh(&with(expired))
        .await
        .assert_refused("Signature has expired.");
    let nobody = json!({ "user_id": null, "orig_iat": null });
    world
        .refresh(&with(nobody))
        .await
        .assert_refused("Invalid payload.");
    let stranger = json!({ "user_id": 9, "orig_iat": null });
    world
        .refresh(&with(stranger))
        .await
        .assert_refused("User doesn't exist.");
    let disabled = json!({ "user_id": 2, "username": "off@example.com", "orig_iat": null });
    world
        .refresh(&with(disabled))
        .await
        .assert_refused("User account is disabled.");
    let undated = json!({ "orig_iat": null });
    world
        .refresh(&with(undated))
        .await
        .assert_refused("orig_iat field is required.");
    let old = json!({ "orig_iat": NOW - REFRESH_WINDOW - 1 });
    world
        .refresh(&with(old))
        .await
        .assert_refused("Refresh has expired.");
    world
        .refresh(&with(json!({})))
        .await
        .assert_refused(DECODING);
    world
        .refresh(&with(json!({ "orig_iat": NOW + 1 })))
        .await
        .token();
}

#[tokio::test]
async fn token_with_invalid_claim_type_is_rejected() {
    let world = World::new().await;
    world.add_documented().await;
    for (claim, values) in [
        (
            "exp",
            json!([null, "1539740696", 1_539_740_696.5, true, {}, []]),
        ),
        ("user_id", json!(["1", 1.5, true, [1], {}])),
        ("username", json!([1, true, ["jonhdoeqa@email.com"], {}])),
        (
            "orig_iat",
            json!(["1539737096", 1_539_737_096.5, false, "", [], {}]),
        ),
        ("nbf", json!(["1", 1.5, [], true, NOW + 1])),
        ("aud", json!(["x", ["x"], {}, 0, false])),
    ] {
        for value in values.as_array().unwrap() {
            let answer = world.refresh(&with(json!({ claim: value }))).await;
            answer.assert_refused(DECODING);
        }
    }
    // Null or empty is the same as absent. Claims that are not part of the contract are ignored.
    for harmless in [
        json!({ "nbf": NOW, "aud": "", "iss": "x" }),
        json!({ "aud": [], "iat": "later", "jti": {}, "sub": 1, "email": 7 }),
    ] {
        world.refresh(&with(harmless)).await.token();
    }
    let mut nulls = claims();
    for name in ["nbf", "aud", "iss", "email"] {
        nulls[name] = Value::Null;
    }
    world
        .refresh(&sign(&json!({ "alg": "HS256" }), &nulls))
        .await
        .token();
}

#[tokio::test]
async fn only_hs256_is_accepted_and_key_references_are_ignored() {
    let world = World::new().await;
    world.add_documented().await;
    for header in [
        json!({}),
        json!(["HS256"]),
        json!({ "alg": "none" }),
        json!({ "alg": "hs256" }),
        json!({ "alg": "HS512" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": null }),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "crit": [] }),
        json!({ "alg": "HS256", "crit": null }),
    ] {
        world
            .refresh(&sign(&header, &claims()))
            .await
            .assert_refused(DECODING);
    }
    for header in [
        json!({ "alg": "HS256" }),
        json!({ "alg": "HS256", "typ": 1, "kid": 7, "x5c": "x" }),
        json!({ "alg": "HS256", "jwk": { "kty": "?" }, "jku": "http://127.0.0.1:1/", "x5u": 0 }),
    ] {
        world.refresh(&sign(&header, &claims())).await.token();
    }
}

#[tokio::test]
async fn token_with_invalid_utf8_is_rejected() {
    let world = World::new().await;
    world.add_documented().await;
    let header = br#"{"alg":"HS256","x":"?"}"#;
    let payload = claims()
        .to_string()
        .replacen('{', r#"{"x":"?","#, 1)
        .into_bytes();
    world.refresh(&sign_bytes(header, &payload)).await.token();
    for odd in [&b"\xff"[..], b"\xed\xa0\x80", b"\xc0\x80"] {
        let spoil = |json: &[u8]| {
            let at = json.iter().position(|byte| *byte == b'?').unwrap();
            [&json[..at], odd, &json[at + 1..]].concat()
        };
        world
            .refresh(&sign_bytes(&spoil(header), &payload))
            .await
            .assert_refused(DECODING);
        world
            .refresh(&sign_bytes(header, &spoil(&payload)))
            .await
            .assert_refused(DECODING);
    }
}

#[tokio::test]
async fn token_encoding_is_strict() {
    let world = World::new().await;
    world.add_documented().await;
    let token = with(json!({}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let last = signature.chars().last().unwrap();
    let stray = char::from(last as u8 + 1);
    for spelling in [
        format!("{token}="),
        format!("{token}!"),
        format!("{token}."),
        format!(".{token}"),
        format!("Bearer {token}"),
        format!("{message}.{}{stray}", &signature[..signature.len() - 1]),
        message.to_owned(),
        format!("{message}."),
        token.replace('.', ".."),
        token.to_uppercase(),
    ] {
        world.refresh(&spelling).await.assert_refused(DECODING);
    }
    world
        .refresh(&format!("\u{a0}\u{1c} {token}\r\n"))
        .await
        .token();
}
