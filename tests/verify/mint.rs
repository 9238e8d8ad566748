//! Mints the tokens of `corpus.json` with the code of the service: `mint NOW SECRET PREVIOUS EMAIL`.
//!
//! Prints a JSON object with a token for each kind. `NOW` is in Unix seconds. The token `at_expiry` expires at `NOW`.

use std::env;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use signet::auth::{Lifetimes, Secrets, Tokens};

const LIFETIME: i64 = 3600;
/// The account whose tokens are revoked.
const REVOKED: i64 = 2;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [now, secret, previous, email] = &arguments[..] else {
        panic!("usage: mint NOW SECRET PREVIOUS EMAIL");
    };
    let now: i64 = now.parse().expect("NOW is a number");
    let signer = |secret: &str| {
        let lifetimes = Lifetimes {
            expires_in: LIFETIME,
            refresh_window: LIFETIME,
        };
        Tokens::new(&Secrets::only(secret.as_bytes()), lifetimes)
            .expect("the secret is long enough")
    };
    let issue = |secret: &str, user: i64, at: i64| {
        let email = email.replacen('@', &format!("{user}@"), 1);
        signer(secret).issue(user, email, at, at).token
    };
    let issued = issue(secret, 1, now);
    let [header, payload, signature] = issued.split('.').collect::<Vec<_>>()[..] else {
        unreachable!("a token has three segments");
    };
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url"))
            .expect("the payload is JSON");
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let mut undated = claims.clone();
    undated.as_object_mut().expect("an object").remove("exp");
    let tokens = json!({
        "issued": issued,
        "at_expiry": issue(secret, 1, now - LIFETIME),
        "expired": issue(secret, 1, now - LIFETIME - 1),
        "wrong_key": issue(&secret.replace(|_: char| true, "x"), 1, now),
        "previous": issue(previous, 1, now),
        "revoked": issue(secret, REVOKED, now - 60),
        "none": format!("{}.{payload}.", encode(&json!({ "typ": "JWT", "alg": "none" }))),
        "hs512": sign_hs512(secret, &claims),
        "rs256": sign(secret, &json!({ "typ": "JWT", "alg": "RS256" }), &claims),
        "tampered": format!("{header}.{}.{signature}", encode(&changed("user_id", json!(3)))),
        "no_exp": sign(secret, &json!({ "typ": "JWT", "alg": "HS256" }), &undated),
        "padded": format!("{issued}="),
        "trailing_bits": with_trailing_bits(&issued),
        "large": sign(
            secret,
            &json!({ "typ": "JWT", "alg": "HS256" }),
            &changed("extra", json!("x".repeat(45 * 1024))),
        ),
        "garbage": "not a token",
    });
    println!("{tokens}");
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn sign(secret: &str, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    let signature = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn sign_hs512(secret: &str, claims: &Value) -> String {
    let header = json!({ "typ": "JWT", "alg": "HS512" });
    let message = format!("{}.{}", encode(&header), encode(claims));
    let mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("any length");
    let signature = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Sets a bit of the last character that does not belong to the signature: 43 characters have 258 bits, and a signature has 256.
fn with_trailing_bits(token: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    let value = ALPHABET
        .iter()
        .position(|letter| last.as_bytes() == [*letter])
        .expect("a letter of base64url");
    format!("{start}{}", char::from(ALPHABET[value | 1]))
}
