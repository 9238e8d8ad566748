//! Rotation of the secret: old tokens stay valid until the old secret is removed or expires.

use serde_json::json;
use signet::auth::{PreviousSecret, Secrets};
use time::OffsetDateTime;

use crate::{
    binary::{Home, Service, failure},
    token::{claims, sign_under},
    world::{NOW, OBTAIN, REFRESH, Setup, World},
};

const OLD: &str = "the-old-secret-the-old-secret-the-old-secret";
const NEW: &str = "the-new-secret-the-new-secret-the-new-secret";
/// The log message after a reload.
const RELOADED: &str = "secrets reloaded";
const DECODING: &str = "Error decoding signature.";

async fn world_with_previous(previous: &[&str]) -> World {
    let world = World::of(Setup {
        secrets: Secrets {
            previous: previous
                .iter()
                .map(|line| PreviousSecret::read(line.as_bytes()).unwrap())
                .collect(),
            ..Secrets::only(NEW.as_bytes())
        },
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    world
}

#[tokio::test]
async fn refresh_signs_old_tokens_with_the_new_secret() {
    let world = world_with_previous(&[OLD]).await;
    let refreshed = world
        .refresh(&sign_under(OLD.as_bytes(), &claims()))
        .await
        .token();
    assert_eq!(world.auth.tokens.verified_counts(), [0, 1]);

    world
        .auth
        .tokens
        .replace(&Secrets::only(NEW.as_bytes()))
        .unwrap();
    world.refresh(&refreshed).await.token();
    let old = sign_under(OLD.as_bytes(), &claims());
    world.refresh(&old).await.assert_refused(DECODING);
    assert_eq!(world.auth.tokens.verified_counts(), [1]);

    let stranger = sign_under(&[7; 40], &claims());
    world.refresh(&stranger).await.assert_refused(DECODING);
}

#[tokio::test]
async fn previous_secret_expires_on_its_date() {
    let end = OffsetDateTime::from_unix_timestamp(NOW + 100).unwrap();
    let end = end
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let world = world_with_previous(&[&format!("{end} {OLD}"), "short"]).await;
    let old = sign_under(OLD.as_bytes(), &claims());

    world.set_clock(NOW + 99);
    world.refresh(&old).await.token();
    world.set_clock(NOW + 100);
    world.refresh(&old).await.assert_refused(DECODING);
    // A secret without a date does not expire. A short secret is accepted as a previous secret.
    world
        .refresh(&sign_under(b"short", &claims()))
        .await
        .token();
    assert_eq!(world.auth.tokens.verified_counts(), [0, 1, 1]);
}

/// The documented procedure: add the new secret, keep the old secret, send SIGHUP, and later remove the old secret.
#[test]
fn sighup_rotates_the_secret() {
    let home = Home::on_sqlite();
    let current = home.path().join("secret");
    let previous = home.path().join("previous");
    std::fs::write(&current, format!("{OLD}\n")).unwrap();
    std::fs::write(&previous, "").unwrap();
    let mut service = home.serve(&[
        "--demo",
        "--jwt-secret-file",
        current.to_str().unwrap(),
        "--jwt-previous-secrets-file",
        previous.to_str().unwrap(),
    ]);
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let before = service.post(OBTAIN, &documented).1["token"].clone();
    let refresh = |service: &Service, token| service.post(REFRESH, &json!({ "token": token }));

    std::fs::write(&current, format!("{NEW}\n")).unwrap();
    std::fs::write(&previous, format!("{OLD}\n\n")).unwrap();
    service.signal("-HUP");
    service.wait_for(RELOADED);
    let (status, body) = refresh(&service, &before);
    assert_eq!(status, 200, "{body}");
    let after = body["token"].clone();

    // Invalid files do not change the secrets.
    std::fs::write(&current, "too short").unwrap();
    service.signal("-HUP");
    let event = service.wait_for("cannot reload the secrets; the previous secrets stay in use");
    assert!(
        event["error"].as_str().unwrap().contains("9 bytes"),
        "{event}"
    );
    assert_eq!(refresh(&service, &before).0, 200);

    std::fs::write(&current, NEW).unwrap();
    std::fs::write(&previous, "").unwrap();
    service.signal("-HUP");
    let event = service.wait_for(RELOADED);
    assert_eq!(event["verified"], "[0, 2]", "{event}");
    assert_eq!(refresh(&service, &before).0, 400);
    assert_eq!(refresh(&service, &after).0, 200);
    service.signal("-TERM");
    let (_, log) = service.wait();
    assert!(!log.contains("-secret-the"), "{log}");
}

#[test]
fn previous_secrets_are_read_from_the_environment_or_a_file() {
    let home = Home::on_sqlite();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_JWT_SECRET", NEW).env(
        "SIGNET_JWT_PREVIOUS_SECRETS",
        format!("2099-01-01T00:00:00Z {OLD}\nhunter2"),
    );
    let service = Service::start(command);
    assert!(
        service.started.contains("a previous secret is shorter"),
        "{}",
        service.started
    );
    assert!(!service.started.contains("hunter2"), "{}", service.started);

    let both = home
        .command(&["serve", "--demo", "--jwt-previous-secrets-file", "missing"])
        .env("SIGNET_JWT_PREVIOUS_SECRETS", OLD)
        .output()
        .unwrap();
    let (code, said) = failure(&both);
    assert_eq!(code, 2);
    assert!(
        said.contains("SIGNET_JWT_PREVIOUS_SECRETS: --jwt-previous-secrets-file is also set"),
        "{said}"
    );
    let missing = [
        "serve",
        "--demo",
        "--jwt-secret-file",
        "secret",
        "--jwt-previous-secrets-file",
        "missing",
    ];
    std::fs::write(home.path().join("secret"), NEW).unwrap();
    let (code, said) = failure(&home.run(&missing));
    assert_eq!(code, 2);
    assert!(
        said.contains("cannot read missing (SIGNET_JWT_PREVIOUS_SECRETS_FILE)"),
        "{said}"
    );
}

/// The service must not guess the meaning of a line. An empty secret would be the worst guess, because every attacker knows it.
#[test]
fn invalid_line_of_previous_secrets_is_rejected() {
    for (line, reason) in [
        ("2027-01-31T00:00:00Z ", "the secret is missing"),
        ("2027-01-31T00:00:00Z", "the secret is missing"),
        (" ", "the secret is missing"),
        ("2027-01-31 hunter2", "the date is invalid"),
        ("2027-13-31T00:00:00Z hunter2", "the date is invalid"),
        ("2027-1-31T00:00:00Z hunter2", "the date is invalid"),
        ("31.1.2027 hunter2", "the date is invalid"),
        (
            "2027-01-31T00:00:00Z  hunter2",
            "white space around the secret",
        ),
        (
            "2027-01-31T00:00:00Z\thunter2 ",
            "white space around the secret",
        ),
        (" hunter2", "white space around the secret"),
        ("hunter2 ", "white space around the secret"),
        ("# until the end of the month", "comments are not supported"),
    ] {
        let home = Home::on_sqlite();
        let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
        command
            .env("SIGNET_JWT_SECRET", NEW)
            .env("SIGNET_JWT_PREVIOUS_SECRETS", format!("{OLD}\n{line}"));
        let (code, said) = failure(&command.output().unwrap());
        assert_eq!(code, 2);
        assert!(
            said.contains("line 2 of the previous secrets") && said.contains(reason),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// A secret is a sequence of bytes, so it may be invalid UTF-8.
#[test]
fn secret_that_is_not_utf8_is_rotated() {
    let home = Home::on_sqlite();
    let bytes = [0xff; 32];
    let file = home.path().join("secret");
    std::fs::write(&file, bytes).unwrap();
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let service = home.serve(&["--demo", "--jwt-secret-file", "secret"]);
    let token = service.post(OBTAIN, &documented).1["token"].clone();
    std::fs::write(home.path().join("previous"), [&bytes[..], b"\r\n"].concat()).unwrap();
    std::fs::write(&file, NEW).unwrap();
    let service = home.serve(&[
        "--demo",
        "--jwt-secret-file",
        "secret",
        "--jwt-previous-secrets-file",
        "previous",
    ]);
    assert_eq!(service.post(REFRESH, &json!({ "token": token })).0, 200);
}

/// SIGHUP only reads files. It creates no secret, and it does not drop the secret in memory.
#[test]
fn sighup_creates_no_secret() {
    let home = Home::on_sqlite();
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let mut service = home.serve(&["--demo"]);
    let token = service.post(OBTAIN, &documented).1["token"].clone();
    service.signal("-HUP");
    service.wait_for(RELOADED);
    assert_eq!(service.post(REFRESH, &json!({ "token": token })).0, 200);

    let mut service = home.serve(&[]);
    let secret = home.path().join("data/signet.db.secret");
    std::fs::remove_file(&secret).unwrap();
    service.signal("-HUP");
    service.wait_for("cannot reload the secrets; the previous secrets stay in use");
    assert!(!secret.exists());
}
