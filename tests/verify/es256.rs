//! Tokens for verifiers with public keys.

use std::fs;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm,
    },
};
use serde_json::{Value, json};
use signet::auth::{PrivateKey, PublicKey, Secrets};

use super::{LIFETIME, Parts, REVOKED, changed, encode, issue, sign, with_trailing_bits, without};

/// The order of the curve P-256 (FIPS 186-4, D.1.2.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// The start of a public key in DER (RFC 5280), before the point: the lengths, and the curve P-256.
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Returns the tokens. The file has two keys: the service signs with the first one, and publishes both.
pub fn tokens(now: i64, keys_file: &str, email: &str) -> Value {
    let file = fs::read(keys_file).expect("KEYS_FILE is readable");
    let keys = PrivateKey::parse_all(&file).expect("KEYS_FILE has keys");
    let [first, second] = &keys[..] else {
        panic!("KEYS_FILE has two keys");
    };
    let unknown = &PrivateKey::generate();
    let issue = |key: &PrivateKey, user, at| {
        let secrets = Secrets {
            current: None,
            previous: Vec::new(),
            keys: vec![key.clone()],
        };
        issue(&secrets, user, email, at)
    };

    let issued = issue(first, 1, now);
    let Parts {
        header,
        payload,
        signature,
        claims,
    } = Parts::of(&issued);
    let kid = &first.public.kid;
    let header_with = |alg: &str| json!({ "typ": "JWT", "alg": alg, "kid": kid });
    let valid = header_with("ES256");
    let own_key =
        json!({ "kty": "EC", "crv": "P-256", "x": unknown.public.x, "y": unknown.public.y });
    let with_signature =
        |bytes: &[u8]| format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes));
    json!({
        "issued": issued,
        "second": issue(second, 1, now),
        "at_expiry": issue(first, 1, now - LIFETIME),
        "expired": issue(first, 1, now - LIFETIME - 1),
        "revoked": issue(first, REVOKED, now - 60),
        "wrong_key": es256(unknown, &valid, &claims),
        "kid_of_second": es256(first, &changed(&valid, "kid", json!(second.public.kid)), &claims),
        "unknown_kid": issue(unknown, 1, now),
        "no_kid": es256(first, &without(&valid, "kid"), &claims),
        "own_key": es256(unknown, &changed(&valid, "jwk", own_key), &claims),
        "none": format!("{}.{payload}.", encode(&header_with("none"))),
        "es384": es256(first, &header_with("ES384"), &claims),
        "hs256_alg": es256(first, &header_with("HS256"), &claims),
        "hs256_point": sign(&point(&first.public)[1..], &header_with("HS256"), &claims),
        "hs256_pem": sign(public_pem(&first.public), &header_with("HS256"), &claims),
        "tampered": format!("{header}.{}.{signature}", encode(&changed(&claims, "user_id", json!(3)))),
        "zero": with_signature(&[0; 64]),
        "no_exp": es256(first, &valid, &without(&claims, "exp")),
        "other_issuer": es256(first, &valid, &changed(&claims, "iss", json!("https://other.example.com"))),
        "no_user_id": es256(first, &valid, &without(&claims, "user_id")),
        "garbage": "not a token",
        "padded": format!("{issued}=="),
        "trailing_bits": with_trailing_bits(&issued),
        "der": es256_with(&ECDSA_P256_SHA256_ASN1_SIGNING, first, &valid, &claims),
        "negated": with_signature(&negated(&URL_SAFE_NO_PAD.decode(signature).expect("base64url"))),
        "large": es256(first, &valid, &changed(&claims, "extra", json!("x".repeat(45 * 1024)))),
    })
}

/// Signs any header and claims.
fn es256(key: &PrivateKey, header: &Value, claims: &Value) -> String {
    es256_with(&ECDSA_P256_SHA256_FIXED_SIGNING, key, header, claims)
}

fn es256_with(
    encoding: &'static EcdsaSigningAlgorithm,
    key: &PrivateKey,
    header: &Value,
    claims: &Value,
) -> String {
    let pem = pem::parse(key.to_pem()).expect("PEM");
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(encoding, pem.contents(), &random).expect("a key");
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = pair.sign(&random, message.as_bytes()).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Returns the point of the key (SEC1 section 2.3.3): `4`, `x` and `y`.
fn point(key: &PublicKey) -> Vec<u8> {
    let [x, y] = [&key.x, &key.y].map(|text| URL_SAFE_NO_PAD.decode(text).expect("base64url"));
    [vec![4], x, y].concat()
}

fn public_pem(key: &PublicKey) -> String {
    let der = STANDARD.encode([&SPKI_P256[..], &point(key)].concat());
    let (first, second) = der.split_at(64);
    format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
}

/// Returns the other valid signature of the same message: `s` is replaced by the order of the curve minus `s`.
fn negated(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let mut difference = ORDER;
    let mut borrow = false;
    for (digit, subtrahend) in difference.iter_mut().zip(s).rev() {
        let (value, below) = digit.overflowing_sub(*subtrahend);
        let (value, also_below) = value.overflowing_sub(borrow.into());
        (*digit, borrow) = (value, below || also_below);
    }
    [r, &difference].concat()
}
