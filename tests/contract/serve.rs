//! `signet serve` as a process: first start, restart, demo, stop, and log.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Command,
};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::accounts;

use crate::{
    binary::{Home, Service, failure},
    store::{LIMITS, Store},
    world::{OBTAIN, REFRESH},
};

#[test]
fn demo_has_the_documented_account_and_leaves_no_files() {
    let home = Home::new();
    let mut service = home.serve(&["--demo"]);
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (status, body) = service.post(OBTAIN, &documented);
    assert_eq!(
        (status, &body["type"], &body["expires_in"]),
        (200, &json!("JWT"), &json!(3600))
    );
    assert_eq!(
        service.post(REFRESH, &json!({ "token": body["token"] })).0,
        200
    );

    service.signal("-TERM");
    let banner = service.stdout();
    let docs = format!("Swagger UI: http://{}/docs/\n", service.address);
    assert!(banner.starts_with(&docs), "{banner}");
    assert!(banner.contains("password 1234ABCD"), "{banner}");
    assert_eq!(banner.lines().count(), 4, "{banner}");
    let (status, log) = service.wait();
    assert!(status.success());
    assert!(log.contains("demo: the password is public"), "{log}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn demo_listens_on_loopback_addresses_only() {
    let home = Home::new();
    for flag in ["--listen", "--admin-listen"] {
        let (code, said) = failure(&home.run(&["serve", "--demo", flag, "0.0.0.0:0"]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("--demo cannot listen on 0.0.0.0:0"), "{said}");
    }
}

#[test]
fn tokens_survive_a_restart() {
    let home = Home::new();
    let add = ["user", "create", "you@example.com", "--password-stdin"];
    assert!(home.feed(&add, "correct horse\n").status.success());
    let service = home.serve(&[]);
    let credentials = json!({ "email": "you@example.com", "password": "correct horse" });
    let (_, body) = service.post(OBTAIN, &credentials);
    service.signal("-INT");
    assert!(service.wait().0.success());

    let service = home.serve(&[]);
    assert_eq!(
        service.post(REFRESH, &json!({ "token": body["token"] })).0,
        200
    );
}

#[test]
fn files_of_the_first_start_are_readable_only_by_the_owner() {
    let home = Home::on_sqlite();
    drop(home.serve(&[]));
    let secret = home.path().join("data/signet.db.secret");
    let mode = std::fs::metadata(&secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let database = home.path().join("data/signet.db");
    let mode = std::fs::metadata(database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = std::fs::metadata(home.path().join("data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(
        std::fs::read_to_string(secret).unwrap().trim_end().len(),
        64
    );
}

#[test]
fn secret_from_a_variable_or_a_file_signs_the_same() {
    let secret = "0123456789abcdef0123456789abcdef";
    let home = Home::on_sqlite();
    let file = home.path().join("secret");
    let mut tokens = Vec::new();
    for end in ["", "\n", "\r\n"] {
        std::fs::write(&file, format!("{secret}{end}")).unwrap();
        let service = home.serve(&["--demo", "--jwt-secret-file", file.to_str().unwrap()]);
        let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
        tokens.push(service.post(OBTAIN, &documented).1["token"].clone());
    }
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_JWT_SECRET", secret);
    let service = crate::binary::Service::start(command);
    for token in tokens {
        assert_eq!(service.post(REFRESH, &json!({ "token": token })).0, 200);
    }
}

#[test]
fn request_in_flight_finishes_before_the_stop() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let body = r#"{"email":"jonhdoeqa@email.com","password":"1234ABCD"}"#;
    let mut stream = TcpStream::connect(service.address).unwrap();
    let head = format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The request is in flight when the service sends `100 Continue`.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

    service.signal("-TERM");
    // The stop has begun when the service rejects new connections.
    while TcpStream::connect(service.address).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(service.wait().0.success());
}

#[test]
fn log_line_describes_a_request_without_its_secrets() {
    let home = Home::new();
    let service = home.serve(&["--demo", "--log", "trace"]);
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (_, body) = service.post(OBTAIN, &documented);
    let token = body["token"].as_str().unwrap().to_owned();
    service.post(REFRESH, &json!({ "token": token }));
    service.post(
        OBTAIN,
        &json!({ "email": "jonhdoeqa@email.com", "password": "hunter2" }),
    );
    service.post(REFRESH, &json!({ "token": format!("{token}x") }));
    service.post(
        &format!("{OBTAIN}?password=hunter2"),
        &json!({ "password": "hunter2" }),
    );
    service.post(&format!("/hunter2/{token}"), &documented);
    service.signal("-TERM");
    let (_, log) = service.wait();

    for secret in [
        "1234ABCD",
        "hunter2",
        "$argon2",
        token.rsplit_once('.').unwrap().1,
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let answered: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["message"] == "request completed")
        .collect();
    let told: Vec<_> = answered
        .iter()
        .map(|event| {
            (
                event["status"].as_u64().unwrap(),
                event["span"]["path"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (200, OBTAIN),
        (200, REFRESH),
        (400, OBTAIN),
        (400, REFRESH),
        (400, OBTAIN),
        (404, "-"),
    ];
    assert_eq!(told, expected);
    for event in &answered {
        assert_eq!(event["span"]["id"].as_str().unwrap().len(), 16);
        assert!(
            event["duration_us"].is_u64() && event["peer"] == "127.0.0.1",
            "{event}"
        );
    }
    assert!(
        log.contains("the password is wrong"),
        "the log does not contain the cause:\n{log}"
    );
}

/// The log may write lines in batches, but a line must not wait for the next request.
#[test]
fn request_is_logged_without_a_second_request() {
    let home = Home::new();
    let mut service = home.serve(&["--demo"]);
    service.post(REFRESH, &json!({}));
    let line = service.wait_for("request completed");
    assert_eq!(
        (&line["status"], &line["level"]),
        (&json!(400), &json!("INFO"))
    );
}

/// After a disconnect, the service keeps the in-memory database and logs the request.
#[test]
fn client_disconnect_does_not_affect_other_requests() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    for _ in 0..20 {
        let body = documented.to_string();
        let mut stream = TcpStream::connect(service.address).unwrap();
        let head = format!(
            "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        drop(stream);
        assert_eq!(service.post(OBTAIN, &documented).0, 200);
    }
    service.signal("-TERM");
    let (status, log) = service.wait();
    assert!(status.success());
    assert!(log.matches("\"request completed\"").count() > 20, "{log}");
}

#[test]
fn incomplete_request_head_does_not_delay_the_stop() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let started = std::time::Instant::now();
    service.signal("-TERM");
    assert!(service.wait().0.success());
    assert!(
        started.elapsed().as_secs() < 10,
        "the stop took {:?}",
        started.elapsed()
    );
}

#[test]
fn second_signal_stops_the_service_immediately() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let mut stream = TcpStream::connect(service.address).unwrap();
    let head = format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 25]).unwrap();
    service.signal("-INT");
    while TcpStream::connect(service.address).is_ok() {
        std::thread::yield_now();
    }
    service.signal("-INT");
    let (status, log) = service.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("second signal received"), "{log}");
}

#[test]
fn stop_right_after_the_start_logs_no_warning() {
    let home = Home::new();
    for _ in 0..5 {
        let service = home.serve(&[]);
        service.signal("-TERM");
        let (status, log) = service.wait();
        assert!(status.success(), "{log}");
        assert!(!log.contains("WARN"), "{log}");
    }
}

#[test]
fn unknown_variable_only_logs_a_warning() {
    let home = Home::new();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_SERVICE_HOST", "10.0.0.1")
        .env("SIGNET_COLOUR", "red");
    let service = crate::binary::Service::start(command);
    for name in ["SIGNET_SERVICE_HOST", "SIGNET_COLOUR"] {
        assert!(service.started.contains(name), "{}", service.started);
    }
}

/// Starts a service with this limit of open files.
fn serve_with_files(home: &Home, files: u32, flags: &str) -> Service {
    let signet = home.command(&[]);
    let mut command = Command::new("sh");
    let limit =
        format!("ulimit -n {files} && exec \"$0\" serve --demo --listen 127.0.0.1:0 {flags}");
    command.args(["-c", &limit]).arg(signet.get_program());
    command.current_dir(home.path()).env_clear();
    for (name, value) in signet.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Service::start(command)
}

#[test]
fn few_file_descriptors_are_reported_at_start() {
    let home = Home::new();
    // The listener for operators may use an eighth of the files, which are 50 of 400.
    let admin = "--admin-listen 127.0.0.1:0";
    for (files, flags, connections) in [(64, "", 1), (400, "", 80), (400, admin, 30)] {
        let service = serve_with_files(&home, files, flags);
        let lines = service.started.lines();
        let events: Vec<Value> = lines
            .filter_map(|it| serde_json::from_str(it).ok())
            .collect();
        let warning = events.iter().find(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            message.starts_with("too few file descriptors")
        });
        let warning = warning.expect(&service.started);
        assert_eq!(
            (&warning["connections"], &warning["configured"]),
            (&json!(connections), &json!(16384))
        );
        let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
        assert_eq!(service.post(OBTAIN, &documented).0, 200);
    }
}

#[test]
fn second_service_on_the_same_port_fails() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let (code, said) =
        failure(&home.run(&["serve", "--demo", "--listen", &service.address.to_string()]));
    assert_eq!(code, 1);
    assert!(said.contains("SIGNET_LISTEN"), "{said}");

    let other = ["serve", "--listen", &service.address.to_string()];
    assert_eq!(failure(&home.run(&other)).0, 1);
    assert!(
        !home.path().join("data").exists(),
        "the failed start created files"
    );
}

/// After the timeout of a statement, PostgreSQL must cancel it. Otherwise such statements would accumulate, each on one connection.
#[tokio::test]
async fn statement_is_canceled_after_the_database_timeout() {
    if !Store::is_postgres() {
        return;
    }
    let home = Home::new();
    let add = ["user", "create", "you@example.com", "--password-stdin"];
    assert!(home.feed(&add, "correct horse\n").status.success());
    let db = accounts::open(&home.database(), LIMITS).await.unwrap();
    db.execute_unprepared(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'; \
         CREATE TRIGGER slow BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION dawdle()",
    )
    .await
    .unwrap();
    let service = home.serve(&["--database-wait", "1"]);
    let credentials = json!({ "email": "you@example.com", "password": "correct horse" });
    assert_eq!(service.post(OBTAIN, &credentials).0, 503);
    let started = std::time::Instant::now();
    let running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'UPDATE%' AND state = 'active' AND datname = current_database()";
    let running = sea_orm::Statement::from_string(db.get_database_backend(), running);
    while db.query_one_raw(running.clone()).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(
        started.elapsed().as_secs() < 30,
        "the statement ran for 30 seconds or longer"
    );
    db.close().await.unwrap();
}
