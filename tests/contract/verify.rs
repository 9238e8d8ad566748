//! `signet verify-compat` without a Django service. `make test-django` runs the command with a Django service.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use serde_json::json;

use crate::binary::{Home, Service, failure, stdout};

/// Returns a status and a body for the body of a request.
type Answer = fn(&str) -> (u16, String);

const DOCUMENTED: &str = "jonhdoeqa@email.com";

fn demo(home: &Home, secret: &str) -> Service {
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_THROTTLE", "off")
        .env("SIGNET_JWT_SECRET", secret)
        // These tests do not read the log, so the service must not log each request.
        .env("SIGNET_LOG", "signet::cli=info");
    Service::start(command)
}

fn url(service: &Service) -> String {
    format!("http://{}/", service.address)
}

#[test]
fn equal_services_have_no_differences() {
    let home = Home::new();
    let [one, other] = [demo(&home, &"s".repeat(32)), demo(&home, &"s".repeat(32))];
    let (old, new) = (url(&one), url(&other));
    let compare = ["verify-compat", "--old", &old, "--new", &new];
    let said = stdout(&home.run(&compare));
    let last = "87 the same, 0 differ as expected, 0 differ unexpectedly\n";
    assert_eq!(said, last);
    let with_account = [&compare[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
    let said = stdout(&home.feed(&with_account, "1234ABCD\n"));
    assert_eq!(said, last.replace("87", "91"));

    // With wrong credentials, the command cannot compare tokens.
    let output = home.feed(&with_account, "wrong\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("UNEXPECTED  obtain: the old service responds 400"),
        "{said}"
    );
}

#[test]
fn services_with_different_secrets_differ() {
    let home = Home::new();
    let [one, other] = [demo(&home, &"s".repeat(32)), demo(&home, &"t".repeat(32))];
    let (old, new) = (url(&one), url(&other));
    let compare = ["verify-compat", "--old", &old, "--new", &new];
    let compare = [&compare[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
    let output = home.feed(&compare, "1234ABCD\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    for (at, by) in [("new", "old"), ("old", "new")] {
        let expected = format!(
            "UNEXPECTED  refresh at the {at} service of a token from the {by} service: 400 "
        );
        assert!(said.contains(&expected), "{said}");
    }
    assert!(
        said.contains("check that both services have the same secret"),
        "{said}"
    );
    assert!(!said.contains("eyJ"), "the output contains a token: {said}");
}

/// During a move to ES256, the claims must be the same, and the operator must know that the algorithms differ.
#[test]
fn services_with_different_algorithms_differ() {
    let home = Home::new();
    let generate = ["secret", "generate", "--algorithm", "es256"];
    let key = stdout(&home.run(&generate));
    std::fs::write(home.path().join("keys.pem"), key).unwrap();
    let one = demo(&home, &"s".repeat(32));
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env_remove("SIGNET_JWT_SECRET")
        .env("SIGNET_THROTTLE", "off")
        .env("SIGNET_LOG", "signet::cli=info")
        .env("SIGNET_JWT_ALGORITHM", "ES256")
        .env("SIGNET_JWT_KEYS_FILE", "keys.pem")
        .env(
            "SIGNET_JWT_PREVIOUS_SECRETS",
            format!("2100-01-01T00:00:00Z {}", "s".repeat(32)),
        );
    let other = Service::start(command);
    let (old, new) = (url(&one), url(&other));
    let compare = ["verify-compat", "--old", &old, "--new", &new];
    let compare = [&compare[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
    let output = home.feed(&compare, "1234ABCD\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = "the old service signs with HS256, and the new service signs with ES256";
    assert!(said.contains(expected), "{said}");
    let rejected = "refresh at the old service of a token from the new service: 400";
    assert!(said.contains(rejected), "{said}");
    // The claims are the same, and the new service accepts the tokens of the old service.
    assert!(
        said.contains("90 the same, 0 differ as expected, 2 differ"),
        "{said}"
    );
}

#[test]
fn unreachable_service_and_invalid_url_are_reported() {
    let home = Home::new();
    let service = demo(&home, &"s".repeat(32));
    let there = url(&service);
    for (old, code, reason) in [
        (
            "http://127.0.0.1:1",
            1,
            "the old service at http://127.0.0.1:1 does not answer",
        ),
        ("127.0.0.1:8000", 2, "--old is not a URL such as https://"),
        ("ftp://127.0.0.1", 2, "is not a URL"),
        ("http://:hunter2@127.0.0.1:1", 2, "without user, password"),
        ("http://hunter2@127.0.0.1:1", 2, "without user, password"),
        ("http://me:hunter2@127.0.0.1:1", 2, "without user, password"),
        (
            "http:/\\me:hunter2@127.0.0.1:1",
            2,
            "without user, password",
        ),
        ("http://127.0.0.1:1/?hunter2", 2, "without user, password"),
    ] {
        let (said_code, said) =
            failure(&home.run(&["verify-compat", "--old", old, "--new", &there]));
        assert_eq!(said_code, code);
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// Starts a server that calls `answer` with each request body. Returns the URL of the server, which runs until the test process exits.
fn server(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || respond(&mut client.unwrap(), answer));
        }
    });
    url
}

fn respond(client: &mut TcpStream, answer: Answer) {
    let mut input = BufReader::new(client.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    while input.read_line(&mut line).unwrap() > 2 {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).unwrap();
    let (status, body) = answer(&String::from_utf8_lossy(&body));
    let length = body.len();
    // The client may have closed the connection.
    let _ = write!(
        client,
        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

#[test]
fn password_in_a_response_is_not_printed() {
    let home = Home::new();
    let service = demo(&home, &"s".repeat(32));
    let new = url(&service);
    let echoes: [Answer; 6] = [
        |body| (400, body.to_owned()),
        |body| (500, json!({ "data": body }).to_string()),
        |body| (400, body.replace('é', "\\u00E9").replace('/', "\\/")),
        // Without escapes, and with the password at the limit of the printed text.
        |body| (400, body.replace("\\\"", "\"").replace("\\\\", "\\")),
        |body| (400, format!("{}{body}", "x".repeat(48))),
        |body| {
            let claims = "eyJ1c2VyX2lkIjoxfQ";
            let token = format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl");
            (200, json!({ "token": token, "data": body }).to_string())
        },
    ];
    for echo in echoes {
        let old = server(echo);
        let args = ["verify-compat", "--old", &old, "--new", &new];
        let args = [&args[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
        let output = home.feed(&args, "hunter2  \"\\/é hunter3\n");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("UNEXPECTED  obtain"), "{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn answers_are_printed_without_tokens_and_format_characters() {
    let home = Home::new();
    let service = demo(&home, &"s".repeat(32));
    let new = url(&service);
    let servers: [Answer; 3] = [
        |_| {
            (
                400,
                "\u{1b}[2J\u{202e}bidi\u{2066}\u{feff}\u{200b}\u{9b}".to_owned(),
            )
        },
        |_| {
            let token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6IuKAriJ9.c2lnbmF0dXJl";
            let body = json!({ "token": token, "bidi": "\u{2066}\u{feff}" });
            (200, body.to_string())
        },
        |_| {
            let token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6IuKAriJ9.c2lnbmF0dXJl";
            (200, json!({ "token": token, "copy": token }).to_string())
        },
    ];
    for answer in servers {
        let old = server(answer);
        let args = ["verify-compat", "--old", &old, "--new", &new];
        let args = [&args[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
        let output = home.feed(&args, "1234ABCD\n");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("UNEXPECTED  obtain"), "{said}");
        for secret in [
            "eyJ",
            "c2lnbmF0dXJl",
            "\u{202e}",
            "\u{2066}",
            "\u{feff}",
            "\u{200b}",
            "\u{9b}",
            "\u{1b}",
        ] {
            assert!(!said.contains(secret), "{secret:?} in {said}");
        }
    }
}
