//! The file of a SQLite database: a running service detects that the file was replaced, and two services may share one file.

use std::{
    fs,
    io::{Read, Write},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use signet::accounts::{self, Limits};

use crate::{
    binary::{Home, Service, stdout},
    store::{LIMITS, Store},
    world::{OBTAIN, REFRESH, World},
};

const EMAIL: &str = "you@example.com";

fn add(home: &Home) {
    let add = ["user", "create", EMAIL, "--password-stdin"];
    stdout(&home.feed(&add, "correct horse\n"));
}

fn database(home: &Home) -> PathBuf {
    home.path().join("data/signet.db")
}

/// Returns the paths of a database: the database file, its write-ahead log, and the index of the log.
fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", database.display())))
}

fn serve(home: &Home) -> Service {
    let socket = home.path().join("admin.sock");
    home.serve(&["--admin-listen", &format!("unix:{}", socket.display())])
}

fn obtain(service: &Service) -> (u16, Value) {
    let credentials = json!({ "email": EMAIL, "password": "correct horse" });
    service.post(OBTAIN, &credentials)
}

/// Requests `/readyz` from the admin listener `admin.sock`. Returns the status line and the body.
fn readiness(home: &Home) -> (String, Value) {
    let mut operator = UnixStream::connect(home.path().join("admin.sock")).unwrap();
    let ask = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    operator.write_all(ask).unwrap();
    let mut answer = String::new();
    operator.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.lines().next().unwrap().to_owned(),
        serde_json::from_str(body).unwrap(),
    )
}

/// Replaces files of a running service. Asserts that the service returns 503 until the old file is restored.
fn assert_detected(replace: impl Fn(&[PathBuf; 3], &Path)) {
    let other = Home::on_sqlite();
    add(&other);
    let home = Home::on_sqlite();
    add(&home);
    let mut service = serve(&home);
    let (status, body) = obtain(&service);
    assert_eq!(status, 200);
    assert_eq!(readiness(&home).0, "HTTP/1.1 200 OK");

    let path = database(&home);
    let kept = home.path().join("kept.db");
    fs::rename(&path, &kept).unwrap();
    replace(&files(&path), &database(&other));
    let (status, body_of_readyz) = readiness(&home);
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    let error = format!(
        "the database file {} was replaced or removed after this process opened it: restart the service",
        path.display()
    );
    assert_eq!(body_of_readyz, json!({ "status": error }));
    assert_eq!(service.wait_for("not ready")["error"], error);

    assert_eq!(obtain(&service).0, 503);
    let refresh = json!({ "token": body["token"] });
    assert_eq!(service.post(REFRESH, &refresh).0, 503);

    for file in files(&path) {
        let _ = fs::remove_file(file);
    }
    fs::rename(&kept, &path).unwrap();
    assert_eq!(readiness(&home).0, "HTTP/1.1 200 OK");
    assert_eq!(service.post(REFRESH, &refresh).0, 200);
}

#[test]
fn replaced_database_file_is_detected() {
    assert_detected(|[database, ..], other| {
        fs::copy(other, database).unwrap();
    });
}

#[test]
fn replaced_database_log_and_index_are_detected() {
    assert_detected(|[database, log, index], other| {
        fs::remove_file(log).unwrap();
        fs::remove_file(index).unwrap();
        fs::copy(other, database).unwrap();
    });
}

#[test]
fn removed_database_file_is_detected() {
    assert_detected(|_, _| {});
}

#[test]
fn service_does_not_miss_a_change_in_the_new_file() {
    let home = Home::on_sqlite();
    add(&home);
    let service = serve(&home);
    assert_eq!(obtain(&service).0, 200);
    let path = database(&home);
    let copy = home.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    let [_, log, index] = files(&path);
    fs::remove_file(log).unwrap();
    fs::remove_file(index).unwrap();
    fs::rename(&copy, &path).unwrap();

    stdout(&home.run(&["user", "disable", EMAIL]));
    assert_eq!(obtain(&service).0, 503);
    service.signal("-TERM");
    assert!(service.wait().0.success());
    // When the service stops, it does not delete the log of the new file.
    let shown = stdout(&home.run(&["user", "show", EMAIL]));
    assert!(shown.contains("is_active\tfalse"), "{shown}");
}

#[tokio::test]
async fn maintenance_reports_a_replaced_database_file() {
    let world = World::new().await;
    if Store::is_postgres() {
        return;
    }
    world.auth.run_maintenance().await.unwrap();
    let path = world.url.strip_prefix("sqlite:").unwrap();
    fs::rename(path, format!("{path}.old")).unwrap();
    let error = world.auth.run_maintenance().await.unwrap_err().to_string();
    let expected = format!("the database file {path} was replaced");
    assert!(error.contains(&expected), "{error}");
}

/// Opens a database, replaces its files, and asserts that the pool opens no new connection. Returns whether the database file exists
/// afterwards.
async fn assert_no_new_connection(replace: impl Fn(&Path)) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let limits = Limits {
        connections: NonZeroU32::new(2).unwrap(),
        wait: Duration::from_secs(2),
        ..LIMITS
    };
    let url = format!("sqlite:{}", path.display());
    let db = accounts::open(&url, limits).await.unwrap();
    // The first connection is in use and the second connection is closed, so a query needs a new connection.
    let pool = db.get_sqlite_connection_pool();
    let (first, second) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    second.close().await.unwrap();
    for file in files(&path) {
        let _ = fs::remove_file(file);
    }
    replace(&path);
    let create = "CREATE TABLE new (id INTEGER)";
    assert!(db.execute_unprepared(create).await.is_err());
    drop(first);
    db.close().await.unwrap();
    path.exists()
}

#[tokio::test]
async fn new_connection_does_not_use_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("b.db");
    let url = format!("sqlite:{}", other.display());
    let db = accounts::open(&url, LIMITS).await.unwrap();
    db.close().await.unwrap();
    let before = fs::read(&other).unwrap();
    assert!(assert_no_new_connection(|path| fs::hard_link(&other, path).unwrap()).await);
    assert!(fs::read(&other).unwrap() == before);
}

#[tokio::test]
async fn new_connection_does_not_create_a_file() {
    assert!(!assert_no_new_connection(|_| {}).await);
}

#[test]
fn two_services_share_one_database_file() {
    let home = Home::on_sqlite();
    // Each service creates the database and the secret, or uses the existing files.
    let [one, other] = thread::scope(|scope| {
        [(), ()]
            .map(|()| scope.spawn(|| home.serve(&["--throttle-account", "4/1h"])))
            .map(|service| service.join().unwrap())
    });
    add(&home);
    let tokens = thread::scope(|scope| {
        [&one, &other, &one, &other, &one, &other]
            .map(|service| scope.spawn(|| obtain(service)))
            .map(|login| login.join().unwrap())
    });
    for (status, body) in tokens {
        assert_eq!(status, 200, "{body}");
        for service in [&one, &other] {
            let refresh = json!({ "token": body["token"] });
            assert_eq!(service.post(REFRESH, &refresh).0, 200);
        }
    }

    let guess = |service: &Service, number: u8| {
        let guess = json!({ "email": EMAIL, "password": format!("wrong {number}") });
        service.post(OBTAIN, &guess).0
    };
    for number in 0..2 {
        assert_eq!(guess(&one, number), 400);
        assert_eq!(guess(&other, number + 2), 400);
    }
    assert_eq!([guess(&one, 4), guess(&other, 5)], [429, 429]);

    stdout(&home.run(&["user", "unlock", EMAIL]));
    let (_, body) = obtain(&one);
    stdout(&home.run(&["user", "disable", EMAIL]));
    for service in [&one, &other] {
        assert_eq!(obtain(service).0, 400);
        let refresh = json!({ "token": body["token"] });
        assert_eq!(service.post(REFRESH, &refresh).0, 400);
    }
    // When one service stops, it does not delete the log, because the other service uses it.
    one.signal("-TERM");
    assert!(one.wait().0.success());
    stdout(&home.run(&["user", "enable", EMAIL]));
    assert_eq!(obtain(&other).0, 200);
}
