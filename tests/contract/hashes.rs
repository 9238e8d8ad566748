//! Password hashes of imported accounts. Django created these hashes with `tests/django/hashes.py`.

use std::collections::BTreeSet;

use serde_json::Value;
use signet::{
    accounts::{NewAccount, PasswordHash},
    auth::{UnsupportedHash, scheme_of},
};

use crate::world::World;

const SCHEMES: [&str; 6] = [
    "argon2",
    "bcrypt",
    "bcrypt_sha256",
    "pbkdf2_sha1",
    "pbkdf2_sha256",
    "scrypt",
];
const NO_LOGIN: &str = "Unable to log in with provided credentials.";

/// Returns passwords, each with a hash by Django 3.2 or 5.2.
pub(crate) fn made_by_django() -> Vec<(String, PasswordHash)> {
    [
        include_str!("hashes/django-3.2.jsonl"),
        include_str!("hashes/django-5.2.jsonl"),
    ]
    .iter()
    .flat_map(|lines| lines.lines())
    .map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("password"), PasswordHash(text("hash")))
    })
    .collect()
}

/// Adds accounts `user0@example.com`, `user1@example.com` and so on with these hashes.
pub(crate) async fn add_accounts(world: &World, hashes: &[PasswordHash]) {
    for (number, hash) in hashes.iter().enumerate() {
        let account = NewAccount {
            id: None,
            email: format!("user{number}@example.com"),
            password: Some(hash.clone()),
        };
        world.auth.accounts.add(account, world.now()).await.unwrap();
    }
}

async fn stored(world: &World, email: &str) -> String {
    let account = world.auth.accounts.by_email(email).await.unwrap().unwrap();
    account.password.unwrap().0
}

/// The password must match exactly. A failed login keeps the hash, and the first successful login replaces the hash.
#[tokio::test]
async fn hash_of_every_django_scheme_is_verified_and_replaced_once() {
    let made: Vec<_> = made_by_django()
        .into_iter()
        .filter(|(_, hash)| scheme_of(hash).is_ok())
        .collect();
    let schemes: BTreeSet<_> = made
        .iter()
        .map(|(_, hash)| scheme_of(hash).unwrap())
        .collect();
    assert_eq!(schemes.into_iter().collect::<Vec<_>>(), SCHEMES);
    let hashes: Vec<_> = made.iter().map(|(_, hash)| hash.clone()).collect();
    let world = World::new().await;
    add_accounts(&world, &hashes).await;
    for (number, (password, hash)) in made.iter().enumerate() {
        let email = format!("user{number}@example.com");
        for wrong in [format!("{password}\u{301}"), format!(" {password}")] {
            // Only bcrypt ignores the bytes after the first 72 bytes, in Django as well.
            if hash.0.starts_with("bcrypt$") && password.len() >= 72 && !wrong.starts_with(' ') {
                continue;
            }
            world.obtain(&email, &wrong).await.assert_refused(NO_LOGIN);
        }
        assert_eq!(stored(&world, &email).await, hash.0);
        world.obtain(&email, password).await.token();
        let current = stored(&world, &email).await;
        assert!(current.starts_with("$argon2id$v=19$m=32,"), "{current}");
        world.obtain(&email, password).await.token();
        assert_eq!(stored(&world, &email).await, current);
    }
}

/// Old Django releases wrote hashes of Argon2 1.0, which contain no version. argon2-cffi created this hash with version 16, which is 1.0.
#[tokio::test]
async fn argon2_hash_without_a_version_has_the_first_version() {
    let world = World::new().await;
    let hash = "argon2$argon2i$m=512,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$JyOGlPSWr90WFmWjOd3qhQ";
    add_accounts(&world, &[PasswordHash(hash.to_owned())]).await;
    let refused = world.obtain("user0@example.com", "Secret").await;
    refused.assert_refused(NO_LOGIN);
    world.obtain("user0@example.com", "secret").await.token();
}

#[test]
fn unsupported_hash_is_reported_with_its_reason() {
    const PBKDF2: &str = "DEyHzzhS8TlL1VcpmV4sfA$iKMtwBqcOcQu+7gXJxRL7lPvE+idfD3n3IzoCKhmAZA=";
    const BCRYPT: &str = "DEyHzzhS8TlL1VcpmV4sfO5ykfrpgn13ydyeEGDmQoPyEliApFrym";
    const SCRYPT: &str =
        "maFeAZo8OWR5s2jcGQdK/uiA+iYyOvqxIofvhfh3Trfqb7Aq/HzkqTyjR+TJPsQFvIx0o1gtoBNdWRXeJBcBrQ==";
    use UnsupportedHash::{CostTooHigh, Unknown, WeakScheme};
    let told: BTreeSet<_> = made_by_django()
        .iter()
        .filter_map(|(_, hash)| match scheme_of(hash) {
            Err(WeakScheme(name)) => Some(name),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        })
        .collect();
    let older = ["crypt", "md5", "sha1", "unsalted_md5", "unsalted_sha1"];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), older);

    for (hash, why) in [
        // Hashes at the parameters of current and future Django versions are accepted. Much more expensive hashes are rejected.
        (format!("pbkdf2_sha256$1500000${PBKDF2}"), None),
        (format!("pbkdf2_sha256$16000000${PBKDF2}"), None),
        (
            format!("pbkdf2_sha256$17000000${PBKDF2}"),
            Some(CostTooHigh),
        ),
        (
            format!("pbkdf2_sha256$4294967295${PBKDF2}"),
            Some(CostTooHigh),
        ),
        (format!("bcrypt_sha256$$2b$16${BCRYPT}"), None),
        (format!("bcrypt_sha256$$2b$17${BCRYPT}"), Some(CostTooHigh)),
        (format!("bcrypt$$2b$31${BCRYPT}"), Some(CostTooHigh)),
        (format!("scrypt$131072$salt$8$5${SCRYPT}"), None),
        (format!("scrypt$524288$salt$8$1${SCRYPT}"), None),
        (
            format!("scrypt$1048576$salt$8$1${SCRYPT}"),
            Some(CostTooHigh),
        ),
        (
            format!("scrypt$16384$salt$4294967295$4294967295${SCRYPT}"),
            Some(CostTooHigh),
        ),
        // Django does not write such hashes.
        (format!("pbkdf2_sha256$0${PBKDF2}"), Some(Unknown)),
        (format!("pbkdf2_sha256$-1${PBKDF2}"), Some(Unknown)),
        (format!("pbkdf2_sha256$+1${PBKDF2}"), Some(Unknown)),
        (format!("pbkdf2_sha256$4294967296${PBKDF2}"), Some(Unknown)),
        (format!("pbkdf2_sha256$1000${PBKDF2}$"), Some(Unknown)),
        (format!("pbkdf2_sha1$1000${PBKDF2}"), Some(Unknown)),
        (format!("pbkdf2_sha512$1000${PBKDF2}"), Some(Unknown)),
        (format!("bcrypt$$2b$3${BCRYPT}"), Some(Unknown)),
        (format!("bcrypt$$2b$32${BCRYPT}"), Some(Unknown)),
        (format!("bcrypt$$2x$12${BCRYPT}"), Some(Unknown)),
        (format!("bcrypt$$2b$12${}", &BCRYPT[1..]), Some(Unknown)),
        (format!("scrypt$16383$salt$8$1${SCRYPT}"), Some(Unknown)),
        (format!("scrypt$1$salt$8$1${SCRYPT}"), Some(Unknown)),
        (format!("scrypt$16384$salt$0$1${SCRYPT}"), Some(Unknown)),
        ("argon2$argon2id$v=19$m=8".to_owned(), Some(Unknown)),
        ("argon2".to_owned(), Some(Unknown)),
        ("plain text".to_owned(), Some(Unknown)),
        ("$".to_owned(), Some(Unknown)),
        (String::new(), Some(Unknown)),
    ] {
        assert_eq!(scheme_of(&PasswordHash(hash.clone())).err(), why, "{hash}");
    }
}
