//! Signing with ES256: the tokens, the key set for verifiers, and the rotation of keys between replicas.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::http::StatusCode;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
    },
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::{
    api::{Document, Operations, PublicKeys},
    auth::{PreviousSecret, PrivateKey, SIGNING_DELAY, Secrets},
};

use crate::{
    token::{claims, sign_under, signed_by_secret},
    world::{Answer, EXPIRES_IN, LIFETIMES, NOW, OBTAIN, SECRET, Setup, World, is_es256, request},
};

const DECODING: &str = "Error decoding signature.";
const JWKS: &str = "/.well-known/jwks.json";

/// Keys that sign.
fn es256(keys: &[&PrivateKey]) -> Secrets {
    Secrets {
        current: None,
        previous: Vec::new(),
        keys: keys.iter().copied().cloned().collect(),
    }
}

async fn world_with(secrets: Secrets) -> World {
    let world = World::of(Setup {
        secrets,
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    world
}

/// Loads other secrets, as a reload does.
async fn reload(world: &World, secrets: &Secrets) {
    world.auth.publish(&secrets.keys).await.unwrap();
    world.auth.tokens.replace(secrets).unwrap();
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

/// Signs any header and claims with a key, as an independent signer.
fn sign(key: &PrivateKey, header: &Value, claims: &Value) -> String {
    let pem = key.to_pem();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = data_encoding::BASE64.decode(der.as_bytes()).unwrap();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = pair.sign(&random, message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Returns whether a key of this set verifies the token. `None` if the set lacks the key.
fn verifies(set: &Value, token: &str) -> Option<bool> {
    let kid = kid(token);
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == kid.as_str())?;
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    Some(key.verify(message.as_bytes(), &signature).is_ok())
}

/// Returns a body with the token of HS256 that has the same claims as its token of ES256. Verifies the token of ES256.
pub(crate) async fn as_hs256(world: &World, body: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let token = json["token"].as_str().unwrap_or_default();
    if !is_es256() || token.split('.').count() != 3 {
        return body.to_owned();
    }
    assert_eq!(
        verifies(&key_set(world).await, token),
        Some(true),
        "{token}"
    );
    let header = header(token);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("JWT"), &json!("ES256"))
    );
    json["token"] = signed_by_secret(payload(token).as_bytes()).into();
    json.to_string()
}

async fn get(world: &World) -> Answer {
    world.send(request("GET", JWKS, &[], "".into())).await
}

async fn key_set(world: &World) -> Value {
    get(world).await.json()
}

#[tokio::test]
async fn key_signs_tokens_that_the_key_set_verifies() {
    let key = PrivateKey::generate();
    let world = world_with(es256(&[&key])).await;

    let token = world.token().await;
    let expected = json!({ "typ": "JWT", "alg": "ES256", "kid": key.public.kid });
    assert_eq!(header(&token), expected);
    assert_eq!(verifies(&key_set(&world).await, &token), Some(true));

    // Signatures are random. In the second of its issue, a refresh returns the same token.
    assert_eq!(world.refresh(&token).await.token(), token);
    world.set_clock(NOW + 1);
    let refreshed = world.refresh(&token).await.token();
    assert_ne!(refreshed, token);
    assert_eq!(verifies(&key_set(&world).await, &refreshed), Some(true));
    let counts = world.auth.tokens.verified();
    assert_eq!(counts, [(key.public.kid.clone(), 2)]);
}

#[tokio::test]
async fn forged_tokens_are_rejected() {
    let (own, other) = (PrivateKey::generate(), PrivateKey::generate());
    let world = world_with(es256(&[&own])).await;
    let header = |alg: &str, kid: &str| json!({ "typ": "JWT", "alg": alg, "kid": kid });
    let valid = header("ES256", &own.public.kid);
    world.refresh(&sign(&own, &valid, &claims())).await.token();

    let public = format!("{}{}", own.public.x, own.public.y);
    for forged in [
        // The key of another service, and an ID that is unknown, missing or not a text.
        sign(&other, &valid, &claims()),
        sign(&other, &header("ES256", &other.public.kid), &claims()),
        sign(&own, &json!({ "typ": "JWT", "alg": "ES256" }), &claims()),
        sign(&own, &json!({ "alg": "ES256", "kid": 1 }), &claims()),
        // Another algorithm with the right key.
        sign(&own, &header("ES384", &own.public.kid), &claims()),
        sign(&own, &header("HS256", &own.public.kid), &claims()),
        sign(&own, &header("none", &own.public.kid), &claims()),
        // HS256 with public texts as the secret.
        sign_under(public.as_bytes(), &claims()),
        sign_under(own.public.kid.as_bytes(), &claims()),
        sign_under(SECRET.as_bytes(), &claims()),
    ] {
        world.refresh(&forged).await.assert_refused(DECODING);
    }
}

#[tokio::test]
async fn key_set_may_be_cached_and_has_only_public_members() {
    let key = PrivateKey::generate();
    let world = world_with(es256(&[&key])).await;

    let answer = get(&world).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({ "keys": [{
            "kty": "EC", "use": "sig", "alg": "ES256", "kid": key.public.kid,
            "crv": "P-256", "x": key.public.x, "y": key.public.y,
        }] })
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let etag = answer.header("etag").unwrap();
    let request = request("GET", JWKS, &[("if-none-match", etag)], "".into());
    assert_eq!(world.send(request).await.status, StatusCode::NOT_MODIFIED);

    // A set that was read long ago may lack the new key of another replica.
    world.set_clock(NOW + 61);
    let answer = get(&world).await;
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    world.auth.renew_publication().await.unwrap();
    let answer = get(&world).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
}

#[tokio::test]
async fn service_without_keys_has_no_key_set() {
    let world = world_with(Secrets::only(SECRET.as_bytes())).await;
    let answer = get(&world).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn key_of_a_service_with_hs256_verifies_and_does_not_sign() {
    let key = PrivateKey::generate();
    let secrets = Secrets {
        keys: vec![key.clone()],
        ..Secrets::only(SECRET.as_bytes())
    };
    let world = world_with(secrets).await;
    assert_eq!(header(&world.token().await)["alg"], "HS256");
    let header = json!({ "alg": "ES256", "kid": key.public.kid });
    world.refresh(&sign(&key, &header, &claims())).await.token();
}

#[tokio::test]
async fn move_to_es256_accepts_old_tokens_until_the_end_of_the_secret() {
    let world = world_with(Secrets::only(SECRET.as_bytes())).await;
    let old = world.token().await;

    let end = NOW + EXPIRES_IN;
    let end = time::OffsetDateTime::from_unix_timestamp(end).unwrap();
    let end = end.format(&time::format_description::well_known::Rfc3339);
    let line = format!("{} {SECRET}", end.unwrap());
    let previous = PreviousSecret::read(line.as_bytes()).unwrap();
    let key = PrivateKey::generate();
    let secrets = Secrets {
        previous: vec![previous],
        ..es256(&[&key])
    };
    reload(&world, &secrets).await;

    let new = world.refresh(&old).await.token();
    assert_eq!(kid(&new), key.public.kid);
    world.set_clock(NOW + EXPIRES_IN);
    world.refresh(&old).await.assert_refused(DECODING);
    world.refresh(&new).await.token();
}

#[tokio::test]
async fn new_key_signs_after_all_caches_have_it() {
    let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
    let world = world_with(es256(&[&old])).await;
    world.set_clock(NOW + 10);
    reload(&world, &es256(&[&new, &old])).await;
    assert_eq!(key_set(&world).await["keys"].as_array().unwrap().len(), 2);

    world.set_clock(NOW + 10 + SIGNING_DELAY - 1);
    assert_eq!(kid(&world.token().await), old.public.kid);
    world.set_clock(NOW + 10 + SIGNING_DELAY);
    assert_eq!(kid(&world.token().await), new.public.kid);
}

#[tokio::test]
async fn removed_key_stays_published_until_its_last_token_has_expired() {
    let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
    let world = world_with(es256(&[&new, &old])).await;
    reload(&world, &es256(&[&old])).await;
    let last = world.token().await;
    assert_eq!(kid(&last), old.public.kid);
    reload(&world, &es256(&[&new])).await;

    world.set_clock(NOW + EXPIRES_IN);
    world.auth.renew_publication().await.unwrap();
    world.refresh(&last).await.token();
    assert_eq!(verifies(&key_set(&world).await, &last), Some(true));
    world.set_clock(NOW + EXPIRES_IN + 600);
    world.auth.renew_publication().await.unwrap();
    assert_eq!(verifies(&key_set(&world).await, &last), None);
}

/// A verifier that fetches the key set only when its copy has expired.
struct Verifier {
    /// The time of the first fetch, which differs between verifiers.
    fetched: i64,
    set: Value,
}

/// Two replicas receive each new file minutes apart. Verifiers cache the key set for its whole lifetime, and know the key of every token.
#[tokio::test]
async fn verifiers_know_the_key_of_every_token_during_two_rotations() {
    let keys = [
        PrivateKey::generate(),
        PrivateKey::generate(),
        PrivateKey::generate(),
    ];
    let [first, second, third] = [0, 1, 2].map(|number| &keys[number]);
    let one = world_with(es256(&[first])).await;
    let two = one.replica(es256(&[first])).await;
    let reloads: HashMap<i64, (&World, Secrets)> = HashMap::from([
        (400, (&one, es256(&[second, first]))),
        (700, (&two, es256(&[second, first]))),
        (1600, (&two, es256(&[third, second]))),
        (1960, (&one, es256(&[third, second]))),
        (3000, (&one, es256(&[third]))),
        (3200, (&two, es256(&[third]))),
    ]);
    let mut verifiers: Vec<Verifier> = Vec::new();
    for number in 0..10 {
        verifiers.push(Verifier {
            fetched: NOW - 600 + 60 * number,
            set: key_set(&one).await,
        });
    }
    let mut signers = Vec::new();
    for after in (0..=3600).step_by(20) {
        let now = NOW + after;
        for world in [&one, &two] {
            world.set_clock(now);
            world.auth.renew_publication().await.unwrap();
        }
        if let Some((world, secrets)) = reloads.get(&after) {
            reload(world, secrets).await;
        }
        // Each verifier fetches the set from another replica than the last time.
        for (number, verifier) in verifiers.iter_mut().enumerate() {
            if verifier.fetched + 600 <= now {
                let replica = [&one, &two][(number + usize::from(after % 40 == 0)) % 2];
                *verifier = Verifier {
                    fetched: now,
                    set: key_set(replica).await,
                };
            }
        }
        for world in [&one, &two] {
            let token = world
                .auth
                .tokens
                .issue(1, "jonhdoeqa@email.com".to_owned(), now, now)
                .token;
            let signer = keys.iter().position(|key| key.public.kid == kid(&token));
            signers.push(signer.unwrap());
            for verifier in &verifiers {
                let verified = verifies(&verifier.set, &token);
                assert_eq!(verified, Some(true), "after {after} s, key {signer:?}");
            }
            // The other replica accepts the token, too.
            for replica in [&one, &two] {
                replica.refresh(&token).await.token();
            }
        }
    }
    signers.dedup();
    assert_eq!(signers.first(), Some(&0));
    assert_eq!(signers.last(), Some(&2));
}

/// A lagging replica reads the keys only once in a minute. A verifier that caches the set of this replica as long as allowed verifies every
/// token, also the tokens that this replica refreshes.
#[tokio::test]
async fn verifiers_with_the_keys_of_a_lagging_replica_know_the_key_of_every_token() {
    const PUBLISHED: i64 = 10;
    const LAST_SET: i64 = PUBLISHED + 59;
    let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
    let one = world_with(es256(&[&old])).await;
    let lagging = one.replica(es256(&[&old])).await;
    let mut verifiers = [PUBLISHED, LAST_SET].map(|start| (start, Value::Null));
    let mut signers = Vec::new();
    for after in 0..LAST_SET + SIGNING_DELAY + 60 {
        one.set_clock(NOW + after);
        lagging.set_clock(NOW + after);
        if after == PUBLISHED {
            reload(&one, &es256(&[&new, &old])).await;
        }
        for (fetch, set) in &mut verifiers {
            if *fetch <= after {
                let answer = get(&lagging).await;
                let max_age = answer.header("cache-control").unwrap();
                let max_age = max_age.strip_prefix("public, max-age=");
                *fetch = after + max_age.map_or(1, |seconds| seconds.parse().unwrap());
                *set = answer.json();
                let count = if after <= LAST_SET { 1 } else { 2 };
                assert_eq!(set["keys"].as_array().unwrap().len(), count);
            }
        }
        if after % 60 == PUBLISHED - 1 {
            lagging.auth.renew_publication().await.unwrap();
        }
        if after == LAST_SET {
            reload(&lagging, &es256(&[&new, &old])).await;
        }
        if after < LAST_SET || after % 10 != 0 {
            continue;
        }
        one.auth.renew_publication().await.unwrap();
        let issued = one.token().await;
        let refreshed = lagging.refresh(&issued).await.token();
        signers.extend([(after, kid(&issued)), (after, kid(&refreshed))]);
        for token in [&issued, &refreshed] {
            for (_, set) in &verifiers {
                assert_eq!(verifies(set, token), Some(true), "after {after} s");
            }
        }
    }
    // The delay begins when the lagging replica serves the key, not when the first replica publishes the key.
    let first_of_new = LAST_SET + SIGNING_DELAY;
    for (after, signer) in signers {
        let expected = if after < first_of_new { &old } else { &new };
        assert_eq!(signer, expected.public.kid, "after {after} s");
    }
}

/// After a minute, a replica that hangs serves no key set that verifiers may cache, so the other replicas do not wait for it.
#[tokio::test]
async fn replicas_that_hang_or_start_do_not_delay_a_key() {
    let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
    let both = es256(&[&new, &old]);
    let one = world_with(es256(&[&old])).await;
    let hanging = one.replica(es256(&[&old])).await;
    one.set_clock(NOW + 10);
    reload(&one, &both).await;
    let signer = async |after: i64| {
        one.set_clock(NOW + 10 + after);
        one.auth.renew_publication().await.unwrap();
        kid(&one.token().await)
    };
    assert_eq!(signer(SIGNING_DELAY - 1).await, old.public.kid);
    assert_eq!(signer(SIGNING_DELAY).await, new.public.kid);
    let served = one.auth.accounts.served_keys().await.unwrap();
    let replica = &served[0].replica;
    assert!(
        served.iter().all(|row| row.replica == *replica),
        "{served:?}"
    );

    let _started = one.replica(both).await;
    hanging.set_clock(NOW + 10 + SIGNING_DELAY);
    hanging.auth.renew_publication().await.unwrap();
    assert_eq!(signer(SIGNING_DELAY + 1).await, new.public.kid);
}

/// A replica with a fault of the database still serves the keys of the other replicas, so that verifiers know these keys.
#[tokio::test]
async fn replica_that_cannot_write_reads_the_keys_of_the_others() {
    // A view with DISTINCT can only be read.
    let read_only = "ALTER TABLE signing_keys RENAME TO hidden; \
                     CREATE VIEW signing_keys AS SELECT DISTINCT * FROM hidden";
    for fault in [read_only, "ALTER TABLE served_keys RENAME TO lost"] {
        let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
        let one = world_with(es256(&[&old])).await;
        let lagging = one.replica(es256(&[&old])).await;
        reload(&one, &es256(&[&new, &old])).await;
        one.db.execute_unprepared(fault).await.unwrap();
        lagging.auth.renew_publication().await.unwrap_err();
        let keys = key_set(&lagging).await["keys"].clone();
        assert_eq!(keys.as_array().unwrap().len(), 2, "{fault}");
    }
}

/// After a leak, a replica signs immediately with a key that the other replica has not read.
#[tokio::test]
async fn lagging_replica_reads_an_unknown_key() {
    let (leaked, new) = (PrivateKey::generate(), PrivateKey::generate());
    let one = world_with(es256(&[&leaked])).await;
    let lagging = one.replica(es256(&[&leaked])).await;
    reload(&one, &es256(&[&new])).await;
    let token = one.token().await;
    assert_eq!(kid(&token), new.public.kid);
    assert_eq!(verifies(&key_set(&lagging).await, &token), None);

    lagging.set_clock(NOW + 1);
    lagging.refresh(&token).await.token();
    assert_eq!(verifies(&key_set(&lagging).await, &token), Some(true));
}

/// A request that waits for a read fails with the read. The client could otherwise log out, although another replica knows the key.
#[tokio::test]
async fn requests_fail_together_with_the_read_of_an_unknown_key() {
    let (own, other) = (PrivateKey::generate(), PrivateKey::generate());
    let world = world_with(es256(&[&own])).await;
    let change = "ALTER TABLE signing_keys RENAME TO lost";
    world.db.execute_unprepared(change).await.unwrap();
    world.set_clock(NOW + 1);
    let header = json!({ "typ": "JWT", "alg": "ES256", "kid": other.public.kid });
    let unknown = sign(&other, &header, &claims());
    for _ in 0..2 {
        let answer = world.refresh(&unknown).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

/// Each row of the database is forged or damaged.
#[tokio::test]
async fn invalid_rows_are_not_published() {
    let own = PrivateKey::generate();
    let world = world_with(es256(&[&own])).await;
    for change in [
        "UPDATE signing_keys SET published_at = 9223372036854775807",
        "UPDATE signing_keys SET x = 'AAAA'",
    ] {
        world.db.execute_unprepared(change).await.unwrap();
        world.auth.renew_publication().await.unwrap();
        world.token().await;
    }
    assert_eq!(key_set(&world).await["keys"], json!([]));
}

/// The key of RFC 7515 appendix A.3 signs the examples.
#[test]
fn examples_of_a_service_with_es256_have_a_token_that_a_public_key_verifies() {
    let set = json!({ "keys": [{
        "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }] });
    let document = Document::build(Operations::WithVerify, None, LIFETIMES);
    let document = document.with_keys(PublicKeys::Sign);
    let schema = &document.value()["paths"][OBTAIN]["post"]["responses"]["200"]["content"];
    let examples = &schema["application/json"]["examples"];
    let token = examples["documented"]["value"]["token"].as_str().unwrap();
    assert_eq!(verifies(&set, token), Some(true));
    let description = document.value()["info"]["description"].as_str().unwrap();
    assert!(description.contains("ES256") && !description.contains("HS256"));
    for text in [document.to_json(), document.to_markdown()] {
        assert!(text.contains(token) && !text.contains("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"));
    }
}

const ISSUER: &str = "https://auth.example.com";

async fn world_with_issuer(issuer: &'static str) -> World {
    let world = World::of(Setup {
        issuer: Some(issuer),
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    world
}

fn payload(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn issued_by(issuer: Value) -> String {
    let mut claims = claims();
    claims["exp"] = json!(NOW + 100_000);
    claims["iss"] = issuer;
    sign_under(SECRET.as_bytes(), &claims)
}

#[tokio::test]
async fn issuer_follows_the_five_claims() {
    let world = world_with_issuer(ISSUER).await;
    let token = world.token().await;
    let expected = format!(r#""orig_iat":{NOW},"iss":"{ISSUER}"}}"#);
    assert!(payload(&token).ends_with(&expected), "{}", payload(&token));
    world.refresh(&token).await.token();
}

#[tokio::test]
async fn tokens_from_before_the_issuer_are_accepted_for_one_lifetime() {
    let world = world_with_issuer(ISSUER).await;
    let old = issued_by(Value::Null);
    let own = issued_by(json!(ISSUER));
    for other in [
        json!("https://other.example.com"),
        json!(""),
        json!(1),
        json!([ISSUER]),
    ] {
        world
            .refresh(&issued_by(other))
            .await
            .assert_refused(DECODING);
    }
    world.set_clock(NOW + EXPIRES_IN);
    world.refresh(&old).await.token();
    world.set_clock(NOW + EXPIRES_IN + 1);
    world.refresh(&old).await.assert_refused(DECODING);
    world.refresh(&own).await.token();
}

/// During a change of the issuer, replicas with the old and the new issuer run at the same time.
#[tokio::test]
async fn former_and_new_issuer_are_accepted_for_one_lifetime() {
    const NEW: &str = "https://new.example.com";
    let old = world_with_issuer(ISSUER).await;
    old.set_clock(NOW + 50_000);
    let new = old.replica_with_issuer(Some(NEW), NOW + 50_000).await;
    let tokens = [issued_by(json!(ISSUER)), issued_by(json!(NEW))];
    for token in &tokens {
        old.refresh(token).await.token();
        new.refresh(token).await.token();
    }
    new.set_clock(NOW + 50_000 + EXPIRES_IN + 1);
    new.refresh(&tokens[0]).await.assert_refused(DECODING);
    new.refresh(&tokens[1]).await.token();
}

/// A restart with the same issuer begins no new period. If a service ran without an issuer meanwhile, its tokens are accepted.
#[tokio::test]
async fn tokens_from_a_time_without_issuer_are_accepted_for_one_lifetime() {
    let first = world_with_issuer(ISSUER).await;
    let without = issued_by(Value::Null);
    let restarted = first.replica_with_issuer(Some(ISSUER), NOW + 50_000).await;
    restarted.refresh(&without).await.assert_refused(DECODING);

    let unset = first.replica_with_issuer(None, NOW + 60_000).await;
    unset.refresh(&without).await.token();
    let again = first.replica_with_issuer(Some(ISSUER), NOW + 70_000).await;
    again.refresh(&without).await.token();
    again.set_clock(NOW + 70_000 + EXPIRES_IN + 1);
    again.refresh(&without).await.assert_refused(DECODING);
}
