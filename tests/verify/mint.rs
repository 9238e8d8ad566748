//! Mints the tokens of the test with the code of the service: `mint hs256 NOW SECRET PREVIOUS EMAIL` for `corpus.json`, and
//! `mint es256 NOW KEYS_FILE EMAIL` for `corpus-public-keys.json`.
//!
//! Prints a JSON object with a token for each kind. `NOW` is in Unix seconds. The token `at_expiry` expires at `NOW`.

use std::env;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use signet::auth::{Lifetimes, Secrets, Tokens};

mod es256;

const LIFETIME: i64 = 3600;
/// The account whose tokens are revoked.
const REVOKED: i64 = 2;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let number = |now: &str| now.parse().expect("NOW is a number");
    let tokens = match arguments[..] {
        ["hs256", now, secret, previous, email] => {
            hs256_tokens(number(now), secret, previous, email)
        }
        ["es256", now, keys_file, email] => es256::tokens(number(now), keys_file, email),
        _ => {
            panic!("usage: mint hs256 NOW SECRET PREVIOUS EMAIL, or mint es256 NOW KEYS_FILE EMAIL")
        }
    };
    println!("{tokens}");
}

fn hs256_tokens(now: i64, secret: &str, previous: &str, email: &str) -> Value {
    let issue = |secret: &str, user, at| issue(&Secrets::only(secret.as_bytes()), user, email, at);
    let issued = issue(secret, 1, now);
    let Parts {
        header,
        payload,
        signature,
        claims,
    } = Parts::of(&issued);
    let changed = |name: &str, value: Value| changed(&claims, name, value);
    json!({
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
        "no_exp": sign(secret, &json!({ "typ": "JWT", "alg": "HS256" }), &without(&claims, "exp")),
        "padded": format!("{issued}="),
        "trailing_bits": with_trailing_bits(&issued),
        "large": sign(
            secret,
            &json!({ "typ": "JWT", "alg": "HS256" }),
            &changed("extra", json!("x".repeat(45 * 1024))),
        ),
        "garbage": "not a token",
    })
}

/// Issues a token at `at`, as the service does.
fn issue(secrets: &Secrets, user: i64, email: &str, at: i64) -> String {
    let lifetimes = Lifetimes {
        expires_in: LIFETIME,
        refresh_window: LIFETIME,
    };
    let tokens = Tokens::new(secrets, lifetimes).expect("the secrets can sign");
    let email = email.replacen('@', &format!("{user}@"), 1);
    tokens.issue(user, email, at, at).token
}

/// The segments of a token, and its claims.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    claims: Value,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Self {
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            unreachable!("a token has three segments");
        };
        let json = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        Self {
            header,
            payload,
            signature,
            claims: serde_json::from_slice(&json).expect("the payload is JSON"),
        }
    }
}

fn changed(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().expect("an object").remove(name);
    object
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn sign(secret: impl AsRef<[u8]>, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).expect("any length");
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

/// Sets a bit of the last character that does not belong to the signature: 43 characters have 258 bits, and a signature of HS256 has 256.
/// With ES256, 86 characters have 516 bits, and a signature has 512.
fn with_trailing_bits(token: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    let value = ALPHABET
        .iter()
        .position(|letter| last.as_bytes() == [*letter])
        .expect("a letter of base64url");
    format!("{start}{}", char::from(ALPHABET[value | 1]))
}
