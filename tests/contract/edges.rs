//! Access for clients: TLS, Unix sockets, systemd sockets and pages of other origins.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use poem::Body;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use signet::auth::{Quota, Quotas};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use crate::{
    binary::{Home, Service, exchange, failure},
    world::{OBTAIN, Setup, World, post, request},
};

/// Shorter than every default timeout of a connection.
const MAX_TIME: Duration = Duration::from_secs(8);

/// The log message after a reload.
const RELOADED: &str = "certificate reloaded";

const DOCUMENTED: &str = r#"{"email":"jonhdoeqa@email.com","password":"1234ABCD"}"#;

/// Returns a login request that closes the connection after the response.
fn login() -> String {
    format!(
        "POST {OBTAIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{DOCUMENTED}",
        DOCUMENTED.len()
    )
}

/// Sends a login, and reads the whole response.
fn log_in(stream: &mut (impl Read + Write)) -> String {
    stream.write_all(login().as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Writes a new certificate and its key to the files of the service. Returns the certificate.
fn write_certificate(home: &Home) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // Tools that renew certificates replace each file atomically, first one file and then the other.
    for (name, pem) in [
        ("cert.pem", cert.pem()),
        ("key.pem", signing_key.serialize_pem()),
    ] {
        let draft = home.path().join("draft");
        fs::write(&draft, pem).unwrap();
        fs::rename(draft, home.path().join(name)).unwrap();
    }
    cert.der().clone()
}

/// Connects to the service. The client trusts only this certificate.
fn connect_tls(
    service: &Service,
    trusted: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    connect_tls_with(rustls::ALL_VERSIONS, service, trusted)
}

fn connect_tls_with(
    versions: &[&'static SupportedProtocolVersion],
    service: &Service,
    trusted: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, TcpStream::connect(service.address).unwrap())
}

const TLS: [&str; 5] = [
    "--demo",
    "--tls-certificate",
    "cert.pem",
    "--tls-key",
    "key.pem",
];

#[test]
fn tls_listener_serves_tls_clients_only() {
    let home = Home::on_sqlite();
    let certificate = write_certificate(&home);
    let service = home.serve(&TLS);
    assert!(
        service.started.contains("https://127.0.0.1:"),
        "{}",
        service.started
    );
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = log_in(&mut connect_tls_with(&[version], &service, &certificate));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let plain = TcpStream::connect(service.address).map(|mut stream| {
        stream.write_all(login().as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    });
    let plain = String::from_utf8_lossy(&plain.unwrap()).into_owned();
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
}

#[test]
fn new_certificate_is_loaded_and_invalid_one_is_ignored() {
    let home = Home::on_sqlite();
    let old = write_certificate(&home);
    let admin = ["--admin-listen", "unix:admin.sock"];
    let mut service = home.serve(&[&TLS[..], &admin].concat());
    log_in(&mut connect_tls(&service, &old));

    fs::write(home.path().join("key.pem"), "hunter2").unwrap();
    let event =
        service.wait_for("cannot reload the certificate; the previous certificate stays in use");
    assert!(!event.to_string().contains("hunter2"), "{event}");
    let answer = log_in(&mut connect_tls(&service, &old));
    assert!(answer.contains(" 200 OK"), "{answer}");

    let new = write_certificate(&home);
    let event = service.wait_for(RELOADED);
    assert_eq!(event["expires"], "4096-01-01T00:00:00Z");
    let answer = log_in(&mut connect_tls(&service, &new));
    assert!(answer.contains(" 200 OK"), "{answer}");
    let metrics = home.metrics();
    let expiry = "signet_tls_certificate_expiry_timestamp_seconds 67090118400\n";
    assert!(metrics.contains(expiry), "{metrics}");

    let refused = connect_tls(&service, &old).write_all(b"GET / HTTP/1.1\r\n\r\n");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn certificate_with_another_key_stops_the_start() {
    let home = Home::on_sqlite();
    write_certificate(&home);
    fs::rename(home.path().join("key.pem"), home.path().join("old.pem")).unwrap();
    write_certificate(&home);
    let output = home.run(&[
        "serve",
        "--demo",
        "--listen",
        "127.0.0.1:0",
        "--tls-certificate",
        "cert.pem",
        "--tls-key",
        "old.pem",
    ]);
    let (code, said) = failure(&output);
    assert_eq!(code, 2);
    let reason = "the certificate in cert.pem and the key in old.pem cannot be used";
    assert!(said.contains(reason), "{said}");
}

#[test]
fn missing_tls_handshake_times_out() {
    let home = Home::on_sqlite();
    write_certificate(&home);
    let service = home.serve(&[&TLS[..], &["--header-timeout", "1s"]].concat());
    let started = Instant::now();
    // The client sends no handshake, and the server closes the connection.
    assert_eq!(exchange(service.address, b""), "");
    assert!(started.elapsed() < MAX_TIME, "{:?}", started.elapsed());
}

#[test]
fn missing_tls_handshake_does_not_delay_the_stop() {
    let home = Home::on_sqlite();
    write_certificate(&home);
    let service = home.serve(&TLS);
    let silent = TcpStream::connect(service.address).unwrap();
    // The server accepts connections in order. After it has closed a later connection, `silent` is accepted.
    exchange(service.address, b"no handshake");
    let started = Instant::now();
    service.signal("-TERM");
    let (status, log) = service.wait();
    assert!(status.success());
    assert!(!log.contains("did not finish"), "{log}");
    assert!(started.elapsed() < MAX_TIME, "{:?}", started.elapsed());
    drop(silent);
}

#[test]
fn sighup_reloads_the_certificate() {
    let home = Home::on_sqlite();
    write_certificate(&home);
    let mut service = home.serve(&TLS);
    // The files have not changed, so only the signal causes a reload.
    service.signal("-HUP");
    service.wait_for(RELOADED);
}

/// A TLS client sends `close_notify` before it disconnects. The server must not treat this message as another request.
#[test]
fn disconnected_tls_client_leaves_the_hashing_queue() {
    let home = Home::on_sqlite();
    let certificate = write_certificate(&home);
    let slow = ["--argon2-memory-kib", "65536", "--argon2-iterations", "4"];
    let one = [
        "--hashing-memory-kib",
        "65536",
        "--hashing-wait",
        "10m",
        "--throttle",
        "off",
    ];
    let service = home.serve(&[&TLS[..], &slow, &one].concat());
    let leave = |_| {
        let mut stream = connect_tls(&service, &certificate);
        stream.write_all(login().as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        stream
    };
    let left: Vec<_> = (0..20).map(leave).collect();
    let answer = log_in(&mut connect_tls(&service, &certificate));
    assert!(answer.contains(" 200 OK"), "{answer}");
    drop(left);
    service.signal("-TERM");
    let (_, log) = service.wait();
    // The other logins were hashed before the server detected the disconnect.
    let undone = log.matches(r#""status":503"#).count();
    assert!(undone >= 10, "{undone}\n{log}");
}

#[test]
fn unix_socket_has_its_mode_and_is_deleted_on_stop() {
    let home = Home::on_sqlite();
    let path = home.path().join("http.sock");
    let listen = format!("unix:{}", path.display());
    // A killed service leaves its socket.
    drop(UnixListener::bind(&path).unwrap());
    let args = [
        "serve",
        "--demo",
        "--socket-mode",
        "600",
        "--listen",
        &listen,
    ];
    let service = Service::start(home.command(&args));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = log_in(&mut UnixStream::connect(&path).unwrap());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let (code, said) = failure(&home.run(&args));
    assert_eq!(code, 1);
    assert!(
        said.contains(&format!("cannot listen on {listen}")),
        "{said}"
    );
    let answer = log_in(&mut UnixStream::connect(&path).unwrap());
    assert!(answer.contains(" 200 OK"), "{answer}");

    service.signal("-TERM");
    assert!(service.wait().0.success());
    let left = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "the socket and its lock file are deleted");
}

#[test]
fn unix_socket_of_a_starting_service_is_not_replaced() {
    let home = Home::on_sqlite();
    let path = home.path().join("http.sock");
    let listen = format!("unix:{}", path.display());
    // The socket of a service that does not listen yet looks like the socket of a killed service. Only the lock is different.
    drop(UnixListener::bind(&path).unwrap());
    let lock = fs::File::create(home.path().join("http.sock.lock")).unwrap();
    lock.lock().unwrap();
    let (code, said) = failure(&home.run(&["serve", "--demo", "--listen", &listen]));
    assert_eq!(code, 1);
    assert!(said.contains("in use"), "{said}");
    assert!(path.exists());
    let both = [
        "serve",
        "--demo",
        "--listen",
        &listen,
        "--admin-listen",
        &listen,
    ];
    let (code, said) = failure(&home.run(&both));
    assert_eq!(code, 2);
    assert!(
        said.contains("--admin-listen: the address is also the address for clients"),
        "{said}"
    );
}

#[test]
fn symlink_as_lock_file_is_rejected() {
    let home = Home::on_sqlite();
    let precious = home.path().join("precious");
    fs::write(&precious, "accounts").unwrap();
    let listen = format!("unix:{}", home.path().join("http.sock").display());
    let lock = home.path().join("http.sock.lock");
    std::os::unix::fs::symlink(&precious, &lock).unwrap();
    let (code, said) = failure(&home.run(&["serve", "--demo", "--listen", &listen]));
    assert_eq!(code, 1);
    assert!(said.contains("http.sock.lock"), "{said}");
    assert_eq!(fs::read_to_string(precious).unwrap(), "accounts");
    fs::remove_file(lock).unwrap();

    // A socket path that is too long leaves no files.
    let long = format!("unix:{}/{}", home.path().display(), "x".repeat(120));
    assert_eq!(
        failure(&home.run(&["serve", "--demo", "--listen", &long])).0,
        1
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn regular_file_at_the_socket_path_is_not_replaced() {
    let home = Home::on_sqlite();
    let path = home.path().join("precious");
    fs::write(&path, "accounts").unwrap();
    let listen = format!("unix:{}", path.display());
    let (code, said) = failure(&home.run(&["serve", "--demo", "--listen", &listen]));
    assert_eq!(code, 1);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(fs::read_to_string(path).unwrap(), "accounts");
}

/// Returns a command that passes a socket to the service like systemd: as descriptor 3, with its name in the environment. If `names` has
/// two names, the same socket is also descriptor 4.
fn socket_activated(home: &Home, socket: OwnedFd, names: &str, listen: &str) -> Command {
    let signet = home.command(&["serve", "--listen", listen]);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 4<&0 0</dev/null",
        ])
        .arg(signet.get_program())
        .args(signet.get_args())
        .env_clear()
        .envs(
            signet
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("LISTEN_FDS", names.split(':').count().to_string())
        .env("LISTEN_FDNAMES", names)
        .current_dir(home.path())
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

#[test]
fn systemd_socket_serves_clients_that_connected_before_the_start() {
    let home = Home::on_sqlite();
    let add = [
        "user",
        "create",
        "jonhdoeqa@email.com",
        "--force",
        "--password-stdin",
    ];
    assert!(home.feed(&add, "1234ABCD\n").status.success());
    for listen in ["systemd", "systemd:http"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut early = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        early.write_all(login().as_bytes()).unwrap();
        let service = Service::of(socket_activated(&home, listener.into(), "http", listen));
        let mut answer = String::new();
        early.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        drop(service);
    }
    let path = home.path().join("systemd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let service = Service::of(socket_activated(&home, listener.into(), "http", "systemd"));
    let answer = log_in(&mut UnixStream::connect(&path).unwrap());
    assert!(answer.contains(" 200 OK"), "{answer}");
    service.signal("-TERM");
    assert!(service.wait().0.success());
    assert!(path.exists(), "the socket belongs to systemd");
}

#[test]
fn missing_systemd_socket_stops_the_start() {
    let home = Home::on_sqlite();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = socket_activated(&home, listener.into(), "http", "systemd:admin").output();
    let none = home.command(&["serve", "--listen", "systemd"]).output();
    for (output, given) in [(other, "the names are [http]"), (none, "the names are []")] {
        let (code, said) = failure(&output.unwrap());
        assert_eq!(code, 1);
        assert!(
            said.contains(given) && said.contains("SIGNET_LISTEN"),
            "{said}"
        );
    }
    let (code, said) = failure(&home.run(&["serve", "--demo", "--listen", "systemd"]));
    assert_eq!(code, 2, "a demo must listen on loopback");
    assert!(said.contains("loopback"), "{said}");
}

/// With `Accept=yes`, systemd passes connected sockets. Another program may pass a socket that is only bound.
#[test]
fn sockets_that_do_not_listen_stop_the_start() {
    let home = Home::on_sqlite();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (connected, _) = listener.accept().unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let socket = |family| {
        let kind = rustix::net::SocketType::STREAM;
        rustix::net::socket(family, kind, None).unwrap()
    };
    for (socket, cause) in [
        (OwnedFd::from(connected), "Accept=no"),
        (OwnedFd::from(pair), "Accept=no"),
        (socket(rustix::net::AddressFamily::INET), "not listening"),
        (socket(rustix::net::AddressFamily::UNIX), "not listening"),
    ] {
        let output = socket_activated(&home, socket, "http", "systemd").output();
        let (code, said) = failure(&output.unwrap());
        assert_eq!(code, 1);
        assert!(
            said.contains(cause) && said.contains("SIGNET_LISTEN"),
            "{said}"
        );
    }
}

/// `@` begins the name of a socket in the abstract namespace (`sd_notify(3)`).
#[test]
fn abstract_notify_socket_gets_ready_and_stopping() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

    let home = Home::on_sqlite();
    let name = format!("signet-test{}", home.path().display());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let service = Service::start(command);
    let next = || {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_owned()).unwrap()
    };
    assert!(next().starts_with("READY=1\n"));
    service.signal("-TERM");
    assert!(next().starts_with("STOPPING=1\n"));
    assert!(service.wait().0.success());
}

/// Creates a certificate, `NAME.pem`, and its key, `NAME.key`.
fn openssl(home: &Home, name: &str, options: &[&str]) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(options)
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn unsupported_keys_are_rejected() {
    let home = Home::on_sqlite();
    let curve = |name| format!("ec_paramgen_curve:{name}");
    for (name, curve) in [
        ("p256", curve("P-256")),
        ("p521", curve("P-521")),
        ("koblitz", curve("secp256k1")),
    ] {
        openssl(&home, name, &["-newkey", "ec", "-pkeyopt", &curve]);
    }
    openssl(&home, "rsa1024", &["-newkey", "rsa:1024"]);
    let key = fs::read_to_string(home.path().join("p256.key")).unwrap();
    let (first, rest) = key.split_once('\n').unwrap();
    fs::write(
        home.path().join("damaged.key"),
        format!("{first}\nAAAA{}", &rest[4..]),
    )
    .unwrap();
    for (certificate, key) in [
        ("p521", "p521"),
        ("koblitz", "koblitz"),
        ("rsa1024", "rsa1024"),
        ("p256", "p521"),
        ("p256", "damaged"),
    ] {
        for command in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["config", "check"],
        ] {
            let (certificate, key) = (format!("{certificate}.pem"), format!("{key}.key"));
            let files = ["--tls-certificate", &certificate, "--tls-key", &key];
            let (code, said) = failure(&home.run(&[command, &files].concat()));
            assert_eq!(code, 2);
            let files =
                format!("the certificate in {certificate} and the key in {key} cannot be used: ");
            assert!(
                said.contains(&files) && said.contains("ECDSA on P-256"),
                "{said}"
            );
        }
    }
}

#[test]
fn duplicate_or_unused_systemd_socket_is_reported() {
    let home = Home::on_sqlite();
    let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let twice = socket_activated(&home, socket(), "http:http", "systemd:http").output();
    let (code, said) = failure(&twice.unwrap());
    assert_eq!(code, 1);
    assert!(said.contains("several sockets with this name"), "{said}");

    let service = Service::of(socket_activated(
        &home,
        socket(),
        "http:other",
        "systemd:http",
    ));
    let warning = "a socket of systemd is unused";
    assert!(service.started.contains(warning), "{}", service.started);
    assert!(
        service.started.contains(r#""name":"other""#),
        "{}",
        service.started
    );
}

#[test]
fn systemd_is_notified_of_each_state() {
    let home = Home::on_sqlite();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let next = || {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_owned()).unwrap()
    };
    let times = ["--stop-delay", "1s", "--stop-timeout", "5s"];
    let args = [&["serve", "--demo", "--listen", "127.0.0.1:0"], &times[..]].concat();
    let mut command = home.command(&args);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "60000000");
    let service = Service::start(command);
    assert!(next().starts_with("READY=1\n"));
    assert_eq!(next(), "WATCHDOG=1\n");
    service.signal("-HUP");
    let reloading = next();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(next().starts_with("READY=1\n"));
    service.signal("-TERM");
    // The sum of the stop delay, the stop timeout and 10 s to close.
    let stopping = next();
    assert!(
        stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=16000000\n"),
        "{stopping}"
    );
    assert!(service.wait().0.success());
}

#[test]
fn header_and_body_limits_are_configurable() {
    let home = Home::on_sqlite();
    let service = home.serve(&["--demo", "--header-bytes", "9000", "--body-timeout", "1s"]);
    let long = format!(
        "GET /docs/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let answer = exchange(service.address, long.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let half = login().replace(DOCUMENTED, "{");
    let started = Instant::now();
    let answer = exchange(service.address, half.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() < MAX_TIME, "{:?}", started.elapsed());
}

#[test]
fn requests_are_served_at_both_bounds_of_header_bytes() {
    let home = Home::on_sqlite();
    for bytes in [2048, 409_600] {
        let setting = bytes.to_string();
        let service = home.serve(&["--demo", "--header-bytes", &setting]);
        let request = |head: usize| {
            let frame = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ?\r\n\r\n";
            frame.replace('?', &"x".repeat(head + 1 - frame.len()))
        };
        let answer = exchange(service.address, request(bytes).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 404 "), "{bytes}: {answer}");
        let answer = exchange(service.address, request(bytes + 1).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431 "), "{bytes}: {answer}");
    }
}

const PAGE: &str = "https://app.example.com";

#[tokio::test]
async fn pages_of_listed_origins_get_cors_headers() {
    let world = World::of(Setup {
        origins: PAGE,
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    for (path, method, body, status) in [
        (OBTAIN, "POST", DOCUMENTED, 200),
        (OBTAIN, "POST", "{}", 400),
        (OBTAIN, "GET", "", 405),
        ("/nowhere", "GET", "", 404),
        ("/openapi.json", "GET", "", 200),
    ] {
        let headers = [("content-type", "application/json"), ("origin", PAGE)];
        let answer = world
            .send(request(method, path, &headers, Body::from(body)))
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(PAGE),
            "{path}"
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("retry-after, x-request-id")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
    let preflight = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let answer = world
        .send(request("OPTIONS", OBTAIN, &preflight, Body::empty()))
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("POST, OPTIONS")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some(
            "accept, authorization, baggage, content-type, traceparent, tracestate, x-requested-with"
        )
    );
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
}

/// Pages of apps use other schemes than `https`.
#[test]
fn page_of_an_app_gets_cors_headers() {
    let home = Home::on_sqlite();
    let origins = "capacitor://localhost,tauri://localhost,https://app.example.com";
    let service = home.serve(&["--demo", "--cors-origins", origins]);
    for (origin, is_listed) in [
        ("capacitor://localhost", true),
        ("tauri://localhost", true),
        ("https://app.example.com", true),
        ("ionic://localhost", false),
        ("capacitor://localhost:1", false),
        ("null", false),
    ] {
        let answer = exchange(
            service.address,
            format!(
                "OPTIONS {OBTAIN} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: close\r\n\
                 Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: baggage,traceparent,tracestate\r\n\r\n"
            )
            .as_bytes(),
        );
        let allowed = format!("\r\naccess-control-allow-origin: {origin}\r\n");
        assert_eq!(answer.contains(&allowed), is_listed, "{answer}");
        let headers = answer.split("access-control-allow-headers: ").nth(1);
        let headers = headers
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        for header in ["baggage", "traceparent", "tracestate"] {
            let is_allowed = headers.split(", ").any(|allowed| allowed == header);
            assert_eq!(is_allowed, is_listed, "{header} {answer}");
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_no_cors_headers() {
    for (origins, varies) in [("", false), ("https://app.example.com:8443", true)] {
        let world = World::of(Setup {
            origins,
            ..Setup::default()
        })
        .await;
        for (method, status) in [("POST", 400), ("OPTIONS", 204)] {
            let headers = [
                ("content-type", "application/json"),
                ("origin", PAGE),
                ("access-control-request-method", "POST"),
            ];
            let answer = world
                .send(request(method, OBTAIN, &headers, Body::from("{}")))
                .await;
            assert_eq!(answer.status, status);
            let cors = answer
                .headers
                .keys()
                .filter(|name| name.as_str().starts_with("access-control"));
            assert_eq!(cors.count(), 0, "{:?}", answer.headers);
            assert_eq!(answer.headers.contains_key("vary"), varies);
        }
    }
}

#[tokio::test]
async fn proxy_on_a_unix_socket_is_used_only_if_it_is_trusted() {
    let rate = |attempts| Quota {
        attempts,
        per: Duration::from_mins(15),
    };
    let rates = Some(Quotas {
        account: rate(100),
        address: rate(1),
    });
    // Without a trusted proxy, all clients of the socket count as one client.
    for (proxies, third) in [("unix", 400), ("10.0.0.0/8", 429)] {
        let world = World::of(Setup {
            rates,
            proxies,
            ..Setup::default()
        })
        .await;
        // Requests on a Unix socket have no IP address.
        let guess = async |from: &str, password: &str| {
            let body = json!({ "email": "jonhdoeqa@email.com", "password": password });
            let mut request = post(OBTAIN, body.to_string());
            request
                .headers_mut()
                .insert("x-forwarded-for", from.parse().unwrap());
            world.send(request).await.status.as_u16()
        };
        assert_eq!(guess("198.51.100.7", "a").await, 400);
        assert_eq!(guess("198.51.100.7", "b").await, 429, "{proxies}");
        assert_eq!(guess("203.0.113.9", "c").await, third, "{proxies}");
    }
}
