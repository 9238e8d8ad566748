//! Observability: health, readiness, metrics, request IDs and traces.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use poem::{Body, Endpoint, http::StatusCode};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::auth::ClientInfo;

use crate::{
    binary::{Home, Service, exchange},
    store::Store,
    throttle::RATES,
    world::{OBTAIN, REFRESH, Setup, World, post, request},
};

const EMAIL: &str = "jonhdoeqa@email.com";

async fn fetch(world: &World, path: &str) -> (StatusCode, String) {
    let request = request("GET", path, &[], Body::empty());
    let response = world.admin.get_response(request).await;
    let status = response.status();
    (status, response.into_body().into_string().await.unwrap())
}

async fn measured(world: &World) -> String {
    let (status, metrics) = fetch(world, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    metrics
}

fn assert_has(metrics: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            metrics.lines().any(|it| it == *line),
            "no {line} in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn readiness_fails_on_database_problems_and_shutdown_but_health_does_not() {
    let world = World::new().await;
    let alive = (StatusCode::OK, r#"{"status":"alive"}"#.to_owned());
    let unready = |why: &str| {
        let body = json!({ "status": why }).to_string();
        (StatusCode::SERVICE_UNAVAILABLE, body)
    };
    assert_eq!(fetch(&world, "/healthz").await, alive);
    let ready = (StatusCode::OK, r#"{"status":"ready"}"#.to_owned());
    assert_eq!(fetch(&world, "/readyz").await, ready);

    let forget = "DELETE FROM seaql_migrations WHERE version LIKE '%imported'";
    world.db.execute_unprepared(forget).await.unwrap();
    let not_current = unready("the database is not up to date");
    assert_eq!(fetch(&world, "/readyz").await, not_current);
    for (newer, expected) in [
        ("m20261123_000003_imported", ready),
        ("m29991231_000001_contract_users", not_current),
    ] {
        let record = format!("INSERT INTO seaql_migrations VALUES ('{newer}', 0)");
        world.db.execute_unprepared(&record).await.unwrap();
        assert_eq!(fetch(&world, "/readyz").await, expected);
    }

    world.db.close_by_ref().await.unwrap();
    let gone = unready("the database cannot be reached");
    assert_eq!(fetch(&world, "/readyz").await, gone);
    world.shutdown.set();
    assert_eq!(fetch(&world, "/readyz").await, unready("stopping"));
    assert_eq!(fetch(&world, "/healthz").await, alive);

    let (status, body) = fetch(&world, "/nowhere").await;
    assert_eq!(
        (status.as_u16(), body.as_str()),
        (404, r#"{"detail":"Not found."}"#)
    );
    // The listener for clients does not have these endpoints.
    let clients = world.send(request("GET", "/readyz", &[], Body::empty()));
    assert_eq!(clients.await.status, 404);
}

#[tokio::test]
async fn metrics_count_by_operation_status_and_reason() {
    let world = World::of(Setup {
        rates: Some(RATES),
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let token = world.token().await;
    world.refresh(&token).await.token();
    world.refresh("garbage").await;
    world.obtain("nobody@example.com", "wrong").await;
    for number in 0..11 {
        let wrong = json!({ "email": EMAIL, "password": format!("wrong {number}") });
        let mut guess = post(OBTAIN, wrong.to_string());
        guess.set_data(ClientInfo::at("198.51.100.7".parse().unwrap()));
        world.send(guess).await;
    }
    world
        .send(request("GET", "/somewhere", &[], Body::empty()))
        .await;
    world
        .send(request("GET", "/openapi.json", &[], Body::empty()))
        .await;

    let metrics = measured(&world).await;
    let connections = if Store::is_postgres() {
        r#"signet_database_connections{state="limit"} 8"#
    } else {
        r#"signet_database_connections{state="limit"} 4"#
    };
    assert_has(
        &metrics,
        &[
            concat!(
                "signet_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            r#"signet_http_requests_total{operation="obtainToken",status="200"} 1"#,
            r#"signet_http_requests_total{operation="obtainToken",status="400"} 11"#,
            r#"signet_http_requests_total{operation="obtainToken",status="429"} 1"#,
            r#"signet_http_requests_total{operation="refreshToken",status="200"} 1"#,
            r#"signet_http_requests_total{operation="refreshToken",status="500"} 0"#,
            r#"signet_http_requests_total{operation="-",status="404"} 1"#,
            r#"signet_http_requests_total{operation="docs",status="200"} 1"#,
            r#"signet_http_request_duration_seconds_count{operation="obtainToken"} 13"#,
            r#"signet_tokens_issued_total{grant="obtain"} 1"#,
            r#"signet_tokens_issued_total{grant="refresh"} 1"#,
            r#"signet_tokens_refused_total{grant="obtain",reason="unknown_account"} 1"#,
            r#"signet_tokens_refused_total{grant="obtain",reason="wrong_password"} 10"#,
            r#"signet_tokens_refused_total{grant="obtain",reason="throttled"} 1"#,
            r#"signet_tokens_refused_total{grant="refresh",reason="invalid"} 1"#,
            "signet_hash_queue_depth 0",
            // 12 verifications, and the hash of the new account.
            "signet_hash_wait_seconds_count 13",
            "signet_hash_rejections_total 0",
            r#"signet_secret_verifications_total{secret="current"} 1"#,
            connections,
        ],
    );
    assert!(
        !metrics.contains("jonhdoe") && !metrics.contains(&token),
        "{metrics}"
    );
}

#[tokio::test]
async fn metrics_are_openmetrics_unless_the_client_prefers_classic_text() {
    let world = World::new().await;
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let classic = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, content_type) in [
        (None, openmetrics),
        (Some("*/*"), openmetrics),
        (Some("text/html,*/*;q=0.8"), openmetrics),
        (Some("image/png"), openmetrics),
        (Some("text/plain"), classic),
        (Some("text/*"), classic),
        (Some("text/plain;version=0.0.4;q=0.3,*/*;q=0.2"), classic),
        (
            Some("application/openmetrics-text;q=0.1,text/plain;q=0.2"),
            classic,
        ),
        // Prometheus 2.42, and Prometheus 3.
        (
            Some(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ),
            openmetrics,
        ),
        (
            Some(
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            ),
            openmetrics,
        ),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let request = request("GET", "/metrics", &headers, Body::empty());
        let response = world.admin.get_response(request).await;
        assert_eq!(response.content_type(), Some(content_type), "{accept:?}");
        let metrics = response.into_body().into_string().await.unwrap();
        let is_openmetrics = metrics.ends_with("# EOF\n");
        assert_eq!(is_openmetrics, content_type == openmetrics, "{accept:?}");
        let counter = if is_openmetrics {
            "# TYPE signet_log_lines_lost counter"
        } else {
            "# TYPE signet_log_lines_lost_total counter"
        };
        assert_has(&metrics, &[counter, "signet_log_lines_lost_total 0"]);
    }
}

#[tokio::test]
async fn request_id_is_accepted_only_from_a_trusted_proxy() {
    let world = World::of(Setup {
        proxies: "192.0.2.0/24",
        ..Setup::default()
    })
    .await;
    let id = async |peer: &str, given: &str| -> Option<String> {
        let mut request = request(
            "POST",
            REFRESH,
            &[("x-request-id", given)],
            Body::from("{}"),
        );
        request.set_data(ClientInfo::at(peer.parse().unwrap()));
        let answer = world.send(request).await;
        answer.header("x-request-id").map(str::to_owned)
    };
    let given = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    assert_eq!(id("192.0.2.1", given).await.as_deref(), Some(given));
    for (peer, given) in [
        ("198.51.100.7", given),
        ("192.0.2.1", "a b"),
        ("192.0.2.1", "\"}"),
        ("192.0.2.1", ""),
        ("192.0.2.1", &"x".repeat(129)),
    ] {
        let made = id(peer, given).await.unwrap();
        assert!(
            made != given && made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{given}: {made}"
        );
    }
}

/// A listener on `[::]` sees the address of an IPv4 proxy in its IPv4-mapped form.
#[tokio::test]
async fn proxy_addresses_match_in_ipv4_and_ipv4_mapped_form() {
    for (proxies, peer, is_trusted) in [
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("::ffff:192.0.2.1", "192.0.2.2", false),
        ("::ffff:192.0.2.0/120", "192.0.2.2", true),
        ("::ffff:192.0.2.0/120", "192.0.3.2", false),
        ("::ffff:0:0/96", "192.0.2.1", true),
        ("::ffff:0:0/96", "2001:db8::1", false),
        ("::/0", "192.0.2.1", true),
        ("::/0", "::ffff:192.0.2.1", true),
        ("::/0", "2001:db8::1", true),
        ("0.0.0.0/0", "::ffff:192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2000::/3", "192.0.2.1", false),
    ] {
        let world = World::of(Setup {
            proxies,
            ..Setup::default()
        })
        .await;
        let headers = [("x-request-id", "given")];
        let mut request = request("POST", REFRESH, &headers, Body::from("{}"));
        request.set_data(ClientInfo::at(peer.parse().unwrap()));
        let answer = world.send(request).await;
        let is_given = answer.header("x-request-id") == Some("given");
        assert_eq!(is_given, is_trusted, "{proxies} {peer}");
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn login_in_a_trace(service: &Service, traceparent: &str) -> String {
    let body = json!({ "email": EMAIL, "password": "1234ABCD" }).to_string();
    let request = format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nTraceparent: {traceparent}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(service.address, request.as_bytes())
}

/// Returns the trace ID of each access log line.
fn logged_traces(log: &str) -> Vec<Value> {
    let events = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["message"] == "request completed")
        .map(|event| event["span"]["trace_id"].clone())
        .collect()
}

#[test]
fn access_log_has_the_trace_id_of_the_request() {
    let home = Home::on_sqlite();
    let service = home.serve(&["--demo", "--trusted-proxies", "127.0.0.1"]);
    // The admin listener is off by default.
    assert!(!service.started.contains("admin"), "{}", service.started);
    login_in_a_trace(&service, &format!("00-{TRACE}-00f067aa0ba902b7-01"));
    for malformed in ["", "hunter2", "00-hunter2-00f067aa0ba902b7-01"] {
        let answer = login_in_a_trace(&service, malformed);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    service.signal("-TERM");
    let (_, log) = service.wait();
    assert_eq!(
        logged_traces(&log)[..2],
        [json!(TRACE), Value::Null],
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn trace_of_an_untrusted_client_is_not_joined() {
    let home = Home::on_sqlite();
    for settings in [&[][..], &["--trusted-proxies", "192.0.2.1,unix"]] {
        let service = home.serve(&[&["--demo"], settings].concat());
        login_in_a_trace(&service, &format!("00-{TRACE}-00f067aa0ba902b7-01"));
        service.signal("-TERM");
        let (_, log) = service.wait();
        assert_eq!(logged_traces(&log), [Value::Null], "{log}");
        assert!(!log.contains(TRACE), "{log}");
    }
}

/// The flags of the client's `traceparent` say "not sampled".
#[test]
fn untrusted_client_does_not_suppress_the_export_of_traces() {
    let (log, exported) = exported_login(&["--demo"], &format!("00-{TRACE}-00f067aa0ba902b7-00"));
    let has = |bytes: &[u8]| exported.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"http.route"));
    let [Value::String(own)] = &logged_traces(&log)[..] else {
        panic!("{log}")
    };
    assert_ne!(own, TRACE);
    let hex = data_encoding::HEXLOWER;
    assert!(has(&hex.decode(own.as_bytes()).unwrap()));
    assert!(!has(&hex.decode(TRACE.as_bytes()).unwrap()));
}

/// Returns the log of a service for one login, and the request that its trace collector received.
fn exported_login(args: &[&str], traceparent: &str) -> (String, Vec<u8>) {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    let home = Home::on_sqlite();
    let mut serve = home.command(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
    serve.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
    let service = Service::start(serve);
    let collecting = std::thread::spawn(move || {
        let (mut stream, _) = collector.accept().unwrap();
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        let is_whole = |got: &[u8]| {
            let head = got.windows(4).position(|end| end == b"\r\n\r\n")?;
            let text = String::from_utf8_lossy(&got[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1)?;
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            (got.len() >= head + 4 + length).then_some(())
        };
        while is_whole(&got).is_none() {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the exporter closed the connection too early");
            got.extend_from_slice(&buffer[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        got
    });
    login_in_a_trace(&service, traceparent);
    // On shutdown, the service exports the remaining spans.
    service.signal("-TERM");
    let (status, log) = service.wait();
    assert!(status.success());
    // Without an export, the collector would block forever.
    drop(TcpStream::connect(address));
    (log, collecting.join().unwrap())
}

/// The collector receives a span for the request, with child spans for the password hash and the queries.
#[test]
fn traces_are_exported_to_the_configured_collector() {
    let args = ["--demo", "--trusted-proxies", "127.0.0.1"];
    let (log, got) = exported_login(&args, &format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert!(got.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    let has = |bytes: &[u8]| got.windows(bytes.len()).any(|window| window == bytes);
    let trace = data_encoding::HEXLOWER.decode(TRACE.as_bytes()).unwrap();
    let parent = data_encoding::HEXLOWER.decode(b"00f067aa0ba902b7").unwrap();
    assert!(has(&trace) && has(&parent));
    for word in [
        "POST /v1/auth/jwt/obtain/",
        "service.name",
        "request",
        "http.route",
        OBTAIN,
        "hash",
        "database",
    ] {
        assert!(has(word.as_bytes()), "no {word}");
    }
    for secret in ["1234ABCD", "jonhdoe", "eyJ"] {
        assert!(!has(secret.as_bytes()), "{secret} was exported");
    }
    assert_eq!(logged_traces(&log), [TRACE]);
}

/// `/readyz` fails during the stop delay, so that load balancers notice. The service still responds to clients, and closes their
/// connections.
#[test]
fn readyz_fails_before_the_service_stops() {
    let home = Home::new();
    let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    serve
        .env("SIGNET_ADMIN_LISTEN", "127.0.0.1:0")
        .env("SIGNET_STOP_DELAY", "1");
    let service = Service::start(serve);
    let listening = service.started.lines().last().unwrap();
    let listening: Value = serde_json::from_str(listening).unwrap();
    let admin = listening["admin"].as_str().unwrap().parse().unwrap();
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(admin, request.as_bytes())
    };
    // The admin listener also requires a `Host` header.
    let without_host = exchange(admin, b"GET /healthz HTTP/1.1\r\n\r\n");
    assert!(without_host.starts_with("HTTP/1.1 400 "), "{without_host}");
    let is_ready = || get("/readyz").starts_with("HTTP/1.1 200 OK\r\n");
    assert!(is_ready());
    let openapi = |service: &Service| {
        exchange(
            service.address,
            b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
    };
    assert!(openapi(&service).starts_with("HTTP/1.1 200 OK\r\n"));

    service.signal("-TERM");
    while is_ready() {}
    assert!(get("/readyz").ends_with(r#"{"status":"stopping"}"#));
    assert!(get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    // This request has no `Connection: close`, but the response does.
    let mut kept = TcpStream::connect(service.address).unwrap();
    std::io::Write::write_all(&mut kept, b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(service.wait().0.success());
}
