//! The audit trail: its events and accounts, and the absence of secrets.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    binary::{Home, Service, exchange, stdout},
    socket::obtain_request,
    world::{OBTAIN, REFRESH, VERIFY},
};

const EMAIL: &str = "you@example.com";

/// Returns the audit events of a log: name, user ID and email.
fn trail(log: &str) -> Vec<(String, Option<u64>, String)> {
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["target"] == "audit")
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            (text("event"), event["user_id"].as_u64(), text("email"))
        })
        .collect()
}

fn add(home: &Home) -> std::process::Output {
    home.feed(
        &["user", "create", EMAIL, "--password-stdin"],
        "correct horse\n",
    )
}

#[test]
fn login_events_are_logged_without_secrets() {
    let home = Home::new();
    stdout(&add(&home));
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_THROTTLE_ACCOUNT", "1/1h");
    command.env("SIGNET_THROTTLE_ADDRESS", "2/1h");
    command.env("SIGNET_VERIFY", "on");
    command.env("SIGNET_ADMIN_LISTEN", "unix:admin.sock");
    let service = Service::start(command);
    let login = |email: &str, password: &str| {
        service.post(OBTAIN, &json!({ "email": email, "password": password }))
    };
    let (_, body) = login(EMAIL, "correct horse");
    assert_eq!(login("other@example.com", "hunter2").0, 400);
    assert_eq!(login("other@example.com", "hunter2").0, 429);
    stdout(&home.run(&["user", "revoke-tokens", "--all"]));
    for path in [REFRESH, VERIFY] {
        assert_eq!(
            service.post(path, &json!({ "token": body["token"] })).0,
            400
        );
    }
    let mut gateway = UnixStream::connect(home.path().join("admin.sock")).unwrap();
    let token = body["token"].as_str().unwrap();
    let ask = format!(
        "GET /verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    gateway.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    gateway.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    for (path, status) in [(VERIFY, 400), (REFRESH, 400), (VERIFY, 429), (REFRESH, 429)] {
        assert_eq!(service.post(path, &json!({ "token": "x" })).0, status);
    }
    service.signal("-TERM");
    let (_, log) = service.wait();

    let event = |name: &str, id, email: &str| (name.to_owned(), id, email.to_owned());
    assert_eq!(
        trail(&log),
        [
            event("login", Some(1), "y…@example.com"),
            event("login_failed", None, "o…@example.com"),
            event("login_throttled", None, "o…@example.com"),
            event("refresh_after_revocation", Some(1), ""),
            event("verify_after_revocation", Some(1), ""),
            event("verify_after_revocation", Some(1), ""),
            event("verify_throttled", None, ""),
            event("refresh_throttled", None, ""),
        ]
    );
    for secret in [
        "correct horse",
        "hunter2",
        body["token"].as_str().unwrap(),
        "you@",
        "other@",
    ] {
        assert!(!log.contains(secret), "{secret} is in:\n{log}");
    }
    assert!(
        log.contains("no account has this email"),
        "the audit trail does not contain the cause:\n{log}"
    );
}

/// Returns a login request for the demo account with these additional headers.
fn login_with(headers: &str) -> String {
    let body = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" }).to_string();
    format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A client can send the headers that the proxy does not set. Only the configured header counts.
#[test]
fn access_log_and_audit_trail_show_the_same_client() {
    for (settings, client) in [
        (&[][..], "127.0.0.1"),
        (&["--trusted-proxies", "127.0.0.1"], "198.51.100.7"),
        (
            &[
                "--trusted-proxies",
                "127.0.0.1",
                "--client-ip-header",
                "Forwarded",
            ],
            "203.0.113.9",
        ),
        (
            &[
                "--trusted-proxies",
                "127.0.0.1",
                "--client-ip-header",
                "X-Real-IP",
            ],
            "192.0.2.4",
        ),
    ] {
        let home = Home::new();
        let service = home.serve(&[&["--demo"], settings].concat());
        let headers = "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 192.0.2.4\r\n";
        let answer = exchange(service.address, login_with(headers).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        service.signal("-TERM");
        let (_, log) = service.wait();
        let events: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let address = |field: &str, value: &str| {
            let mut matching = events.iter().filter(|event| event[field] == value);
            let event = matching
                .next()
                .unwrap_or_else(|| panic!("no {value}: {log}"));
            event["address"].clone()
        };
        assert_eq!(address("event", "login"), client, "{settings:?}");
        assert_eq!(
            address("message", "request completed"),
            client,
            "{settings:?}"
        );
        assert!(log.contains(r#""peer":"127.0.0.1""#), "{log}");
    }
}

#[test]
fn ipv4_mapped_addresses_are_logged_as_ipv4() {
    for proxies in [
        "::ffff:127.0.0.1",
        "::ffff:127.0.0.0/104",
        "::/0",
        "127.0.0.1",
    ] {
        let home = Home::new();
        let listen = ["serve", "--demo", "--listen", "[::ffff:127.0.0.1]:0"];
        let trust = ["--trusted-proxies", proxies];
        let service = Service::start(home.command(&[&listen[..], &trust].concat()));
        assert!(service.address.is_ipv4(), "{}", service.started);
        let forwarded = "X-Forwarded-For: ::ffff:198.51.100.7\r\n";
        let answer = exchange(service.address, login_with(forwarded).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let started = service.started.clone();
        service.signal("-TERM");
        let (_, log) = service.wait();
        assert_eq!(
            log.matches(r#""address":"198.51.100.7""#).count(),
            2,
            "{log}"
        );
        assert!(log.contains(r#""peer":"127.0.0.1""#), "{log}");
        assert!(!format!("{started}{log}").contains("::ffff:"), "{log}");
    }
}

#[test]
fn account_changes_by_an_operator_are_logged() {
    let home = Home::new();
    let said = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        trail(&String::from_utf8(output.stderr).unwrap())
    };
    let told = |name: &str| vec![(name.to_owned(), Some(1), "y…@example.com".to_owned())];
    assert_eq!(said(add(&home)), told("account_added"));
    let passwd = ["user", "set-password", EMAIL, "--password-stdin"];
    assert_eq!(
        said(home.feed(&passwd, "another horse\n")),
        told("password_changed")
    );
    assert_eq!(
        said(home.run(&["user", "disable", EMAIL])),
        told("account_disabled")
    );
    assert_eq!(
        said(home.run(&["user", "enable", EMAIL])),
        told("account_enabled")
    );
    assert_eq!(
        said(home.run(&["user", "revoke-tokens", EMAIL])),
        told("tokens_revoked")
    );
    assert_eq!(
        said(home.run(&["user", "set-email", EMAIL, "yes@example.com"])),
        told("email_changed")
    );
    let mut delete = home.command(&["user", "delete", "yes@example.com", "--yes"]);
    let output = delete.env("SIGNET_AUDIT_EMAILS", "whole").output().unwrap();
    assert_eq!(
        said(output),
        [(
            "account_deleted".to_owned(),
            Some(1),
            "yes@example.com".to_owned()
        )]
    );
}

#[test]
fn running_service_applies_account_changes_of_commands_immediately() {
    let home = Home::new();
    stdout(&add(&home));
    let service = home.serve(&[]);
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    let (_, body) = service.post(OBTAIN, &credentials);
    let refresh = || service.post(REFRESH, &json!({ "token": body["token"] }));

    stdout(&home.run(&["user", "disable", EMAIL]));
    assert_eq!(
        refresh().1,
        json!({ "non_field_errors": ["User account is disabled."] })
    );
    assert_eq!(service.post(OBTAIN, &credentials).0, 400);
    stdout(&home.run(&["user", "enable", EMAIL]));
    assert_eq!(refresh().0, 200);
    stdout(&home.run(&["user", "revoke-tokens", "--all"]));
    assert_eq!(
        refresh().1,
        json!({ "non_field_errors": ["Error decoding signature."] })
    );
    assert_eq!(service.post(OBTAIN, &credentials).0, 200);
}

/// Starts a service whose log is not read, as with a stopped terminal or a blocked log collector. The log lines fill the pipe and the
/// queue of the service.
fn unread(home: &Home) -> Service {
    stdout(&add(home));
    let service = home.serve(&["--admin-listen", "unix:admin.sock"]);
    assert_eq!(lost(home), 0);
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    let (_, granted) = service.post(OBTAIN, &credentials);
    // The pipe buffers 64 KiB, and the service queues 256 KiB of lines.
    for _ in 0..1000 {
        let (status, _) = service.post(OBTAIN, &json!({ "email": EMAIL, "password": "a guess" }));
        assert!([400, 429].contains(&status), "{status}");
    }
    let refreshed = service.post(REFRESH, &json!({ "token": granted["token"] }));
    assert_eq!(refreshed.0, 200);
    service
}

/// Returns the number of lost log lines from the metrics.
fn lost(home: &Home) -> u64 {
    let metrics = home.metrics();
    let count = metrics.split("\nsignet_log_lines_lost_total ").nth(1);
    count.unwrap().lines().next().unwrap().parse().unwrap()
}

#[test]
fn unread_log_does_not_block_the_service_and_lost_lines_are_counted() {
    let home = Home::new();
    let service = unread(&home);
    assert!(lost(&home) > 0);
    service.signal("-TERM");
    assert!(service.ended().success());
}

#[test]
fn log_states_the_number_of_lost_lines_when_it_is_read_again() {
    let home = Home::new();
    let mut service = unread(&home);
    let lost = lost(&home);
    service.wait_for("request completed");
    service.signal("-TERM");
    let (status, log) = service.wait();
    assert!(status.success());
    // Every line is complete.
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let told: u64 = events
        .filter_map(|event: Value| event["lost"].as_u64())
        .sum();
    assert!(told >= lost, "the log reports {told} of {lost} lost lines");
}

#[test]
fn slow_reader_of_the_log_delays_no_request() {
    let home = Home::new();
    let mut service = unread(&home);
    let (address, request) = (service.address, obtain_request(EMAIL, "a guess"));
    let slowest = thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let request = |_| {
                let started = Instant::now();
                exchange(address, request.as_bytes());
                started.elapsed()
            };
            (0..200).map(request).max().unwrap()
        });
        while !requests.is_finished() {
            service.read_log(4096);
            thread::sleep(Duration::from_millis(900));
        }
        requests.join().unwrap()
    });
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
}
