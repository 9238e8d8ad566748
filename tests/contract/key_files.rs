//! The file of the private keys for ES256: faults, reloads, and the commands of `signet secret`.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::accounts;

use crate::{
    binary::{Home, Service, exchange, failure, stdout},
    store::LIMITS,
    world::{OBTAIN, REFRESH, SECRET},
};

/// A home with a file of one new key.
struct KeyHome {
    home: Home,
    keys: PathBuf,
}

impl KeyHome {
    fn new() -> Self {
        let home = Home::on_sqlite();
        let keys = home.path().join("keys.pem");
        let keys = Self { home, keys };
        keys.write(&keys.generate());
        keys
    }

    fn generate(&self) -> String {
        stdout(
            &self
                .home
                .run(&["secret", "generate", "--algorithm", "es256"]),
        )
    }

    fn write(&self, text: &str) {
        fs::write(&self.keys, text).unwrap();
        fs::set_permissions(&self.keys, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let keys = self.keys.to_str().unwrap();
        [args, &["--jwt-algorithm", "ES256", "--jwt-keys-file", keys]].concat()
    }

    fn serve(&self) -> Service {
        self.home.serve(&self.args(&["--demo"]))
    }

    /// Runs a command with the settings in the environment.
    fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.home.command(args);
        command
            .env("SIGNET_JWT_ALGORITHM", "ES256")
            .env("SIGNET_JWT_KEYS_FILE", &self.keys);
        command.output().unwrap()
    }

    /// Changes the database.
    async fn execute(&self, sql: &str) {
        let db = accounts::open(&self.home.database(), LIMITS).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    }
}

fn token(service: &Service) -> Value {
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    service.post(OBTAIN, &documented).1["token"].clone()
}

/// Returns the IDs of the published keys.
fn published(service: &Service) -> Vec<String> {
    let request =
        "GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(service.address, request.as_bytes());
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let set: Value = serde_json::from_str(body).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn invalid_key_files_are_rejected() {
    let key_home = KeyHome::new();
    let valid = fs::read_to_string(&key_home.keys).unwrap();
    for (file, message) in [
        (String::new(), "no private key in PEM"),
        (
            "-----BEGIN PRIVATE KEY-----\nx".to_owned(),
            "a PEM block is damaged",
        ),
        (
            include_str!("keys/encrypted.pem").to_owned(),
            "the key is encrypted",
        ),
        (
            include_str!("keys/encrypted-sec1.pem").to_owned(),
            "the key is encrypted",
        ),
        (
            include_str!("keys/public.pem").to_owned(),
            "a public key or a certificate",
        ),
        (
            include_str!("keys/p-521.pem").to_owned(),
            "a key of the curve P-521",
        ),
        (include_str!("keys/rsa-1024.pem").to_owned(), "an RSA key"),
        (include_str!("keys/ed448.pem").to_owned(), "an Ed448 key"),
        (
            include_str!("keys/secp256k1.pem").to_owned(),
            "a key of the curve secp256k1",
        ),
        (
            include_str!("keys/without-public.pem").to_owned(),
            "the private key does not contain its public key",
        ),
        (
            include_str!("keys/without-public-pkcs8.pem").to_owned(),
            "the private key does not contain its public key",
        ),
        (
            include_str!("keys/compressed.pem").to_owned(),
            "the private key does not contain its public key as an uncompressed point",
        ),
        (valid.repeat(2), "the same key twice"),
        (valid.replace("AgEAM", "AgEBM"), "the key is damaged"),
        (
            [&valid, &valid[..valid.len() - 40]].concat(),
            "a PEM block is damaged",
        ),
        (
            [&valid.replace("BEGIN PRIVATE", "BEGIN PRIVAT"), &valid[..]].concat(),
            "a PEM block is damaged",
        ),
    ] {
        key_home.write(&file);
        let (code, said) = failure(&key_home.home.run(&key_home.args(&["serve", "--demo"])));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(message), "{message}: {said}");
        assert!(said.contains("keys.pem (SIGNET_JWT_KEYS_FILE)"), "{said}");
    }
    fs::remove_file(&key_home.keys).unwrap();
    let (code, said) = failure(&key_home.home.run(&key_home.args(&["serve", "--demo"])));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot read"), "{said}");
}

#[test]
fn settings_that_contradict_the_algorithm_are_rejected() {
    let key_home = KeyHome::new();
    let mut command = key_home.home.command(&key_home.args(&["serve", "--demo"]));
    let (code, said) = failure(&command.env("SIGNET_JWT_SECRET", SECRET).output().unwrap());
    assert_eq!(code, 2);
    assert!(
        said.contains("SIGNET_JWT_SECRET signs with HS256"),
        "{said}"
    );
    assert!(said.contains("hint: move the secret"), "{said}");

    let mut command = key_home.home.command(&key_home.args(&["serve", "--demo"]));
    command.env("SIGNET_JWT_PREVIOUS_SECRETS", SECRET);
    let (code, said) = failure(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(said.contains("a previous secret has no end"), "{said}");

    let without_keys = ["serve", "--demo", "--jwt-algorithm", "ES256"];
    let (code, said) = failure(&key_home.home.run(&without_keys));
    assert_eq!(code, 2);
    assert!(said.contains("there is no private key"), "{said}");
}

#[test]
fn sighup_publishes_a_new_key_and_a_failed_reload_keeps_the_keys() {
    let key_home = KeyHome::new();
    let mut service = key_home.serve();
    let first = published(&service);
    assert_eq!(first.len(), 1);
    let before = token(&service);

    let old = fs::read_to_string(&key_home.keys).unwrap();
    key_home.write(&[key_home.generate(), old].concat());
    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    let both = published(&service);
    assert!(both.len() == 2 && both.contains(&first[0]), "{both:?}");

    key_home.write("damaged");
    service.signal("-HUP");
    service.wait_for("cannot reload the secrets; the previous secrets stay in use");
    assert_eq!(published(&service), both);
    let refreshed = service.post(REFRESH, &json!({ "token": before }));
    assert_eq!(refreshed.0, 200);
}

/// The service does not sign with a key that it could not publish.
#[tokio::test]
async fn failed_publication_keeps_the_keys_and_names_the_remedy() {
    let key_home = KeyHome::new();
    let mut service = key_home.home.serve(&key_home.args(&[]));
    let before = published(&service);
    let execute = async |change: &str| key_home.execute(change).await;
    execute("ALTER TABLE signing_keys RENAME TO lost").await;
    let old = fs::read_to_string(&key_home.keys).unwrap();
    key_home.write(&[key_home.generate(), old].concat());
    service.signal("-HUP");
    let failed = service.wait_for("cannot reload the secrets; the previous secrets stay in use");
    let hint = failed["hint"].as_str().unwrap();
    assert!(hint.ends_with("then send SIGHUP again"), "{hint}");
    assert_eq!(published(&service), before);

    execute("ALTER TABLE lost RENAME TO signing_keys").await;
    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    assert_eq!(published(&service).len(), 2);
}

#[test]
fn status_shows_removed_keys_until_the_end_of_their_publication() {
    let key_home = KeyHome::new();
    let mut service = key_home.home.serve(&key_home.args(&[]));
    let removed = published(&service).remove(0);
    key_home.write(&key_home.generate());
    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    let status = stdout(&key_home.run(&["secret", "status", "--json"]));
    let status: Value = serde_json::from_str(&status).unwrap();
    let secrets = status["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 2);
    assert_eq!(secrets[1]["secret"], removed);
    assert_eq!(secrets[1]["file"], Value::Null);
    assert!(secrets[1]["until"].is_string(), "{status}");
    let text = stdout(&key_home.run(&["secret", "status"]));
    let until = secrets[1]["until"].as_str().unwrap();
    let row = text.lines().find(|line| line.contains(&removed)).unwrap();
    assert!(row.contains(until), "{row}");
}

/// After the move to ES256, the generated secret is neither used nor protected by an end.
#[test]
fn doctor_warns_of_an_unused_secret() {
    let key_home = KeyHome::new();
    drop(key_home.home.serve(&[]));
    let doctor = |args: &[&str]| {
        let output = key_home.run(&[&["doctor", "--json"], args].concat());
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let check = checks.into_iter().find(|check| check["name"] == "secret");
        check.unwrap()
    };
    let check = doctor(&[]);
    assert_eq!(check["status"], "warning", "{check}");
    let message = check["message"].as_str().unwrap();
    assert!(message.contains("the secret is not used"), "{message}");
    fs::remove_file(key_home.home.path().join("data/signet.db.secret")).unwrap();
    assert_eq!(doctor(&[])["status"], "ok");
}

#[test]
fn warning_about_a_key_file_that_other_users_can_read() {
    let key_home = KeyHome::new();
    fs::set_permissions(&key_home.keys, fs::Permissions::from_mode(0o644)).unwrap();
    let service = key_home.serve();
    let warning = "other users can read or change the secret";
    assert!(service.started.contains(warning), "{}", service.started);
}

/// A rotation must not remove the key that signs.
#[tokio::test]
async fn rotation_keeps_the_newest_key_and_waits_until_it_signs() {
    let key_home = KeyHome::new();
    let ids = || -> Vec<String> {
        let status = key_home.run(&["secret", "status", "--json"]);
        let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
        let secrets = status["secrets"].as_array().unwrap().iter();
        // A removed key is in no file.
        secrets
            .filter(|row| row["file"].is_string())
            .map(|row| row["secret"].as_str().unwrap().to_owned())
            .collect()
    };
    let rejected = |reason: &str| {
        let (code, said) = failure(&key_home.run(&["secret", "rotate"]));
        assert_eq!(code, 1);
        assert!(said.contains(reason), "{said}");
    };
    let assert_status = |state: &str, replicas: &str| {
        let status = key_home.run(&["secret", "status"]);
        let said = String::from_utf8(status.stderr).unwrap();
        assert!(said.contains(state) && said.contains(replicas), "{said}");
    };
    let execute = async |change: &str| key_home.execute(change).await;
    let age = async || {
        execute("UPDATE signing_keys SET published_at = published_at - 720").await;
        execute("UPDATE served_keys SET served_since = served_since - 720").await;
    };
    let first = ids();
    let mut service = key_home.home.serve(&key_home.args(&[]));
    rejected("may be unknown to verifiers until 20");
    assert_status("may sign from", "1 of 1 live replicas serve the key");
    age().await;
    assert_status("may sign since", "1 of 1 live replicas serve the key");
    let lagging = "INSERT INTO served_keys \
                   SELECT 'lagging', 'other', served_since, seen_at FROM served_keys";
    execute(lagging).await;
    rejected("is not served by every live replica");
    assert_status(
        "waits for the remaining replicas",
        "1 of 2 live replicas serve the key",
    );
    let status = key_home.run(&["secret", "status", "--json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    let replicas = ["signs_from", "live_replicas", "serving_replicas"];
    let replicas = replicas.map(|name| status["secrets"][0][name].clone());
    assert_eq!(replicas, [Value::Null, json!(2), json!(1)]);
    execute("DELETE FROM served_keys WHERE replica = 'lagging'").await;
    let rotated = stdout(&key_home.run(&["secret", "rotate"]));
    assert!(
        rotated.contains("12 minutes after the last live replica begins to serve it"),
        "{rotated}"
    );
    let second = ids();
    assert_eq!(second[1..], first);
    rejected("is not published");

    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    rejected("may be unknown to verifiers until 20");
    age().await;
    let third = stdout(&key_home.run(&["secret", "rotate", "--json"]));
    let third: Value = serde_json::from_str(&third).unwrap();
    assert_eq!(ids(), [third["kid"].as_str().unwrap(), &second[0]]);
    let mode = fs::metadata(&key_home.keys).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (code, said) = failure(&key_home.run(&["secret", "rotate", "--stage"]));
    assert_eq!(code, 2);
    assert!(said.contains("only for HS256"), "{said}");
}

/// A leaked key is removed from the file, and then revoked.
#[test]
fn revoked_key_is_not_published() {
    let key_home = KeyHome::new();
    let args = key_home.args(&[]);
    let mut service = key_home.home.serve(&args);
    let leaked = published(&service).remove(0);
    let (code, said) = failure(&key_home.run(&["secret", "revoke", &leaked]));
    assert_eq!(code, 1);
    assert!(said.contains("still in SIGNET_JWT_KEYS_FILE"), "{said}");

    let old = fs::read_to_string(&key_home.keys).unwrap();
    // Before the reload: the service would replace tokens of the leaked key by tokens of the new key.
    let new = key_home.generate();
    key_home.write(&new);
    let revoked = stdout(&key_home.run(&["secret", "revoke", &leaked]));
    assert!(revoked.contains(&leaked), "{revoked}");
    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    // A replica that still has the key cannot publish the key again.
    key_home.write(&[&new[..], &old].concat());
    service.signal("-HUP");
    service.wait_for("secrets reloaded");
    let published = published(&service);
    assert!(
        published.len() == 1 && published[0] != leaked,
        "{published:?}"
    );

    let revoked = "every key in SIGNET_JWT_KEYS_FILE is revoked";
    key_home.write(&old);
    service.signal("-HUP");
    let event = service.wait_for("cannot reload the secrets");
    assert_eq!(event["error"], revoked);
    let start = key_home.args(&["serve", "--listen", "127.0.0.1:0"]);
    let (code, said) = failure(&key_home.home.run(&start));
    assert_eq!(code, 1);
    assert!(said.contains(revoked), "{said}");

    key_home.write(&new);
    for unknown in [leaked.as_str(), "-AOmsVUm", "--OmsVUm"] {
        let (code, said) = failure(&key_home.run(&["secret", "revoke", unknown]));
        assert_eq!(code, 1, "{said}");
        let expected = format!("no published key has the ID {unknown}");
        assert!(said.contains(&expected), "{said}");
    }
}
