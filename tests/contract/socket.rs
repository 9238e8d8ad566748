//! Tests that need a socket: incomplete heads, chunked bodies, pipelined requests, and malformed input.

use std::{net::SocketAddr, time::Duration};

use signet::{
    config::Settings,
    server::{ConnectionLimits, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::world::{OBTAIN, World};

pub(crate) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(limits: ConnectionLimits) -> Self {
        let world = World::new().await;
        world.add_documented().await;
        Self::of(world, limits).await
    }

    pub(crate) async fn of(world: World, limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let app = std::sync::Arc::new(world);
            let endpoint = poem::EndpointExt::boxed(Shared(app));
            serve(listener.into(), endpoint, limits, async {
                drop(stopped.await);
            })
            .await;
        });
        Self {
            address,
            stop,
            served,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes`, and reads until the server closes the connection.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read(&mut stream).await
    }
}

/// Keeps the world and its folder alive while the server uses its app.
struct Shared(std::sync::Arc<World>);

impl poem::Endpoint for Shared {
    type Output = poem::Response;

    async fn call(&self, request: poem::Request) -> poem::Result<poem::Response> {
        self.0.app.call(request).await
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // The server may also reset the connection after the response.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Returns the default limits.
pub(crate) fn limits() -> ConnectionLimits {
    Settings::default().connection_limits()
}

fn short_timeouts() -> ConnectionLimits {
    ConnectionLimits {
        header_read_timeout: Duration::from_millis(50),
        ..limits()
    }
}

const CREDENTIALS: &str = r#"{"email":"jonhdoeqa@email.com","password":"1234ABCD"}"#;

fn obtain(headers: &str, body: &str) -> String {
    format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

/// Returns a complete request for a token. The server closes the connection after the response.
pub(crate) fn obtain_request(email: &str, password: &str) -> String {
    let body = serde_json::json!({ "email": email, "password": password });
    with_length("Connection: close\r\n", &body.to_string())
}

#[tokio::test]
async fn request_without_exactly_one_valid_host_gets_400() {
    let server = Server::start(limits()).await;
    let missing = "The Host header is missing.";
    let repeated = "The request has more than one Host header.";
    let malformed = "The Host header is not valid.";
    for (version, headers, detail) in [
        ("1.1", "", missing),
        ("1.1", "Host: x\r\nHost: x\r\n", repeated),
        ("1.1", "Host: x\r\nX: y\r\nhost: y\r\n", repeated),
        ("1.0", "Host: x\r\nHost: y\r\n", repeated),
        ("1.1", "Host: user@x\r\n", malformed),
        ("1.1", "Host: http://x\r\n", malformed),
        ("1.1", "Host: x/y\r\n", malformed),
        ("1.1", "Host: x:http\r\n", malformed),
        ("1.1", "Host: [::x]\r\n", malformed),
        ("1.1", "Host: a b\r\n", malformed),
        ("1.1", "Host: \u{e9}\r\n", malformed),
        ("1.0", "Host: a b\r\n", malformed),
    ] {
        for target in ["/openapi.json", "http://x/openapi.json", "/nowhere", OBTAIN] {
            let answer = server
                .exchange(format!("GET {target} HTTP/{version}\r\n{headers}\r\n"))
                .await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let status = format!("HTTP/{version} 400 Bad Request\r\n");
            assert!(head.starts_with(&status), "{headers}{answer}");
            assert!(
                head.contains("\r\ncontent-type: application/json\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\nx-request-id: "), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body, serde_json::json!({ "detail": detail }), "{headers}");
        }
    }
}

#[tokio::test]
async fn connection_is_closed_after_an_invalid_host() {
    let server = Server::start(limits()).await;
    let next = with_length("Connection: close\r\n", CREDENTIALS);
    let answer = server
        .exchange(format!("GET /docs/ HTTP/1.1\r\n\r\n{next}"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn request_with_a_valid_host_is_served() {
    let server = Server::start(limits()).await;
    for (version, host) in [
        ("1.1", "Host: x\r\n"),
        ("1.1", "Host: Example.com:8443\r\n"),
        ("1.1", "Host: [2001:db8::1]:8000\r\n"),
        ("1.1", "Host:   192.0.2.1  \r\n"),
        ("1.1", "Host:\r\n"),
        ("1.0", "Host: x\r\n"),
        ("1.0", ""),
    ] {
        let answer = server
            .exchange(format!(
                "GET /openapi.json HTTP/{version}\r\n{host}Connection: close\r\n\r\n"
            ))
            .await;
        let status = format!("HTTP/{version} 200 OK\r\n");
        assert!(answer.starts_with(&status), "{host}{answer}");
    }
}

fn with_length(headers: &str, body: &str) -> String {
    obtain(
        &format!("{headers}Content-Length: {}\r\n", body.len()),
        body,
    )
}

#[tokio::test]
async fn incomplete_request_head_times_out() {
    let server = Server::start(short_timeouts()).await;
    assert_eq!(server.exchange("").await, "", "an idle connection");
    assert_eq!(server.exchange("POST /v1/au").await, "");
    assert_eq!(
        server
            .exchange(format!("POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nX-"))
            .await,
        ""
    );
}

#[tokio::test]
async fn idle_keep_alive_connection_times_out() {
    let server = Server::start(short_timeouts()).await;
    let answer = server.exchange(with_length("", CREDENTIALS)).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
}

#[tokio::test]
async fn incomplete_body_gets_408() {
    let server = Server::of(World::impatient().await, limits()).await;
    let answer = server
        .exchange(obtain(
            "Connection: close\r\nContent-Length: 60\r\n",
            "{\"email\":",
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with(r#"{"detail":"The request body did not arrive in time."}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn chunked_body_is_accepted_up_to_the_limit() {
    let server = Server::start(limits()).await;
    let (start, end) = CREDENTIALS.split_at(20);
    let chunks = format!(
        "{:x}\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        start.len(),
        end.len()
    );
    let answer = server
        .exchange(obtain(
            "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            &chunks,
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let too_much = "x".repeat(0x10000);
    let chunks = format!("10000\r\n{too_much}\r\n1\r\nx\r\n0\r\n\r\n");
    let answer = server
        .exchange(obtain(
            "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            &chunks,
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn body_limit_is_exact_and_applies_before_the_body_is_sent() {
    let server = Server::start(limits()).await;
    let padded = |length: usize| CREDENTIALS.to_owned() + &" ".repeat(length - CREDENTIALS.len());
    let answer = server
        .exchange(with_length("Connection: close\r\n", &padded(65_536)))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = server
        .exchange(with_length("Connection: close\r\n", &padded(65_537)))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with(r#"{"detail":"The request body is too large."}"#),
        "{answer}"
    );

    // A client that sends `Expect: 100-continue` or a very large length gets the response before it sends the body.
    for headers in [
        "Expect: 100-continue\r\nContent-Length: 65537\r\n",
        "Content-Length: 99999999999\r\n",
    ] {
        let answer = server.exchange(obtain(headers, "")).await;
        assert!(
            answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(limits()).await;
    let requests = [
        with_length("", CREDENTIALS),
        "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        with_length("", "{}"),
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let answers = server.exchange(requests.concat()).await;
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["200", "404", "400", "404"]);
}

#[tokio::test]
async fn malformed_request_is_rejected_and_the_next_request_is_served() {
    let server = Server::start(limits()).await;
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /v1/auth/jwt/obtain/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/auth/jwt/obtain/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let answer = server.exchange(rubbish).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request"),
            "{answer:?} to {rubbish:?}"
        );
    }
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = server.exchange(huge).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let answer = server
        .exchange(with_length("Connection: close\r\n", CREDENTIALS))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// The connection limit is 1, so the second client is served only after the server has closed the first connection.
#[tokio::test]
async fn client_that_does_not_read_responses_loses_its_connection() {
    let limits = ConnectionLimits {
        connections: 1,
        write_timeout: Duration::from_millis(50),
        ..limits()
    };
    let server = Server::start(limits).await;
    let mut stalled = server.connect().await;
    let page = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let _ = stalled.write_all(page.as_bytes()).await;
    let answer = server
        .exchange("GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}

#[tokio::test]
async fn error_response_reaches_a_client_that_is_still_sending() {
    let server = Server::start(limits()).await;
    let body = "x".repeat(10_000_000);
    for (request, status) in [
        (with_length("", &body), "413 Payload Too Large"),
        (
            with_length("", &body).replace("POST", "PUT"),
            "405 Method Not Allowed",
        ),
        (
            with_length("", &body).replace(OBTAIN, "/nope"),
            "404 Not Found",
        ),
        (
            obtain(
                "Transfer-Encoding: chunked\r\n",
                &format!("989680\r\n{body}\r\n0\r\n\r\n"),
            ),
            "413 Payload Too Large",
        ),
    ] {
        let answer = server.exchange(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer:?} for {status}"
        );
    }
}

#[tokio::test]
async fn oversized_and_malformed_bodies_do_not_get_408() {
    let server = Server::of(World::impatient().await, limits()).await;
    let answer = server
        .exchange(obtain("Content-Length: 70000\r\n", "{"))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
    let answer = server
        .exchange(obtain("Transfer-Encoding: chunked\r\n", "zz\r\n"))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with(r#"{"detail":"JSON parse error - the body is cut short"}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn connection_above_the_limit_is_served_after_another_closes() {
    let limits = ConnectionLimits {
        connections: 1,
        ..limits()
    };
    let server = Server::start(limits).await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    first.read_u8().await.unwrap();
    let mut second = server.connect().await;
    second
        .write_all(b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await;
    assert!(
        waiting.is_err(),
        "the server answered the second connection while the first was open"
    );

    drop(first);
    assert!(
        read(&mut second)
            .await
            .starts_with("HTTP/1.1 404 Not Found\r\n")
    );
}

#[tokio::test]
async fn stop_closes_idle_connections_and_the_listener() {
    let server = Server::start(limits()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    idle.read_u8().await.unwrap();
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    read(&mut idle).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// `nc` and old libraries close the sending side of the connection after the request. A client that disconnects looks the same to the
/// server. The server responds if the request does not have to wait in the hash queue.
#[tokio::test]
async fn client_that_has_closed_its_sending_side_gets_a_response() {
    let server = Server::start(limits()).await;
    for (request, start) in [
        (obtain_request("jonhdoeqa@email.com", "1234ABCD"), "200 OK"),
        (obtain_request("jonhdoeqa@email.com", "wrong"), "400 Bad"),
        (
            "GET /docs/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "200 OK",
        ),
        (
            "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "200 OK",
        ),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {start}")), "{answer}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
    }
}

/// The kernel has established these connections, but the service has not accepted them yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_established_before_a_stop_are_served() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut early = Vec::new();
    for _ in 0..120 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        early.push(tokio::spawn(async move { read(&mut stream).await }));
    }
    let stop = std::future::ready(());
    serve(listener.into(), world.app, limits(), stop).await;
    for answer in early {
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
