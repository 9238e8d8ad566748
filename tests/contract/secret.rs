//! The files of the secrets: how the service and `signet secret` create and replace them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    binary::{Home, Service, failure, stdout},
    world::{OBTAIN, REFRESH, SECRET},
};

/// Returns the names and the contents of all files in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Returns the same command in a process that cannot write to files.
fn without_space(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap());
    }
    limited
}

#[test]
fn failed_write_of_a_new_secret_leaves_no_temporary_file() {
    let home = Home::on_sqlite();
    // Keeps the database open, so that the second process writes only the secret.
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SIGNET_JWT_SECRET", SECRET);
    let _service = Service::start(command);
    let serve = home.command(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]);
    for _ in 0..2 {
        let (code, message) = failure(&without_space(&serve).output().unwrap());
        assert_eq!(code, 1);
        assert!(message.contains("signet.db.secret"), "{message}");
    }
    let names: Vec<_> = files(&home.path().join("data")).into_keys().collect();
    assert_eq!(names, ["signet.db", "signet.db-shm", "signet.db-wal"]);
}

/// The log message after a reload.
const RELOADED: &str = "secrets reloaded";

fn login(service: &Service) -> Value {
    let documented = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (status, body) = service.post(OBTAIN, &documented);
    assert_eq!(status, 200, "{body}");
    body["token"].clone()
}

fn refresh(service: &Service, token: &Value) -> u16 {
    service.post(REFRESH, &json!({ "token": token })).0
}

fn reload(service: &mut Service) {
    service.signal("-HUP");
    service.wait_for(RELOADED);
}

/// The setup of the README: no setting names a file of secrets.
#[test]
fn rotation_on_the_default_setup_logs_no_user_out() {
    let home = Home::on_sqlite();
    let add = [
        "user",
        "create",
        "jonhdoeqa@email.com",
        "--password-stdin",
        "--force",
    ];
    stdout(&home.feed(&add, "1234ABCD\n"));
    let mut service = home.serve(&[]);
    let mut tokens = vec![login(&service)];
    for rotation in 1..=2 {
        let old = fs::read_to_string(home.path().join("data/signet.db.secret")).unwrap();
        let said = stdout(&home.run(&["secret", "rotate"]));
        assert!(said.contains("kill -HUP"), "{said}");
        let current = home.path().join("data/signet.db.secret");
        let previous = home.path().join("data/signet.db.secret.previous");
        let (new, lines) = (
            fs::read_to_string(&current).unwrap(),
            fs::read_to_string(&previous).unwrap(),
        );
        assert!(new != old && new.trim_end().len() == 64);
        assert!(
            lines.starts_with(&old) && lines.lines().count() == rotation,
            "{lines}"
        );
        for path in [&current, &previous] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        }
        assert!(!said.contains(old.trim_end()) && !said.contains(new.trim_end()));
        reload(&mut service);
        tokens.push(login(&service));
        for token in &tokens {
            assert_eq!(refresh(&service, token), 200);
        }
    }
    // After its line is deleted, the oldest secret is no longer accepted.
    let previous = home.path().join("data/signet.db.secret.previous");
    let lines = fs::read_to_string(&previous).unwrap();
    fs::write(&previous, lines.lines().next().unwrap()).unwrap();
    reload(&mut service);
    let statuses: Vec<_> = tokens
        .iter()
        .map(|token| refresh(&service, token))
        .collect();
    assert_eq!(statuses, [400, 200, 200]);
}

/// A rotation that is killed leaves temporary files.
#[test]
fn rotation_deletes_temporary_files_of_killed_rotations() {
    let home = Home::on_sqlite();
    drop(home.serve(&[]));
    let data = home.path().join("data");
    fs::write(data.join(".signet-secret-killed"), "a secret").unwrap();
    fs::write(data.join(".signet-new-secret-other"), "a secret").unwrap();
    stdout(&home.run(&["secret", "rotate"]));
    let names = files(&data).into_keys();
    let temporary: Vec<_> = names.filter(|name| name.starts_with('.')).collect();
    // `serve` may be creating this file right now.
    assert_eq!(temporary, [".signet-new-secret-other"]);
}

/// Each of the two replicas has a copy of the files.
#[test]
fn rotation_in_two_steps_logs_no_user_out_of_any_replica() {
    let home = Home::on_sqlite();
    let folders = ["a", "b"].map(|name| home.path().join(name));
    let paths = |folder: &Path| (folder.join("secret"), folder.join("previous"));
    let start = |folder: &PathBuf| {
        fs::create_dir(folder).unwrap();
        let (current, previous) = paths(folder);
        fs::write(&current, format!("{SECRET}\n")).unwrap();
        fs::write(&previous, "").unwrap();
        home.serve(&[
            "--demo",
            "--jwt-secret-file",
            current.to_str().unwrap(),
            "--jwt-previous-secrets-file",
            previous.to_str().unwrap(),
        ])
    };
    let (mut a, mut b) = (start(&folders[0]), start(&folders[1]));
    let ((a_current, a_previous), (b_current, b_previous)) =
        (paths(&folders[0]), paths(&folders[1]));
    let rotate = |step: &str| {
        home.command(&["secret", "rotate", step])
            .env("SIGNET_JWT_SECRET_FILE", &a_current)
            .env("SIGNET_JWT_PREVIOUS_SECRETS_FILE", &a_previous)
            .output()
            .unwrap()
    };
    let mut tokens = Vec::new();
    let mut check = |a: &Service, b: &Service| {
        tokens.extend([login(a), login(b)]);
        for token in &tokens {
            assert_eq!((refresh(a, token), refresh(b, token)), (200, 200));
        }
    };
    check(&a, &b);
    let (_, said) = failure(&rotate("--activate"));
    assert!(said.contains("no secret is staged"), "{said}");
    stdout(&rotate("--stage"));
    let (_, said) = failure(&rotate("--stage"));
    assert!(said.contains("already staged"), "{said}");
    fs::copy(&a_previous, &b_previous).unwrap();
    check(&a, &b);
    reload(&mut a);
    check(&a, &b);
    reload(&mut b);
    check(&a, &b);
    stdout(&rotate("--activate"));
    reload(&mut a);
    check(&a, &b);
    assert_ne!(fs::read(&a_current).unwrap(), fs::read(&b_current).unwrap());
    fs::copy(&a_current, &b_current).unwrap();
    fs::copy(&a_previous, &b_previous).unwrap();
    reload(&mut b);
    check(&a, &b);
    assert_eq!(
        fs::read_to_string(&a_previous).unwrap(),
        format!("{SECRET}\n")
    );
    assert!(!folders[0].join("secret.staged").exists());
}

#[test]
fn rotation_preserves_owner_and_mode() {
    let home = Home::on_sqlite();
    let current = home.path().join("secret");
    let previous = home.path().join("previous");
    fs::write(&current, SECRET).unwrap();
    fs::set_permissions(&current, fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&current, Some(65534), Some(65534)).unwrap();
    }
    let of = |path: &Path| {
        let file = fs::metadata(path).unwrap();
        (file.uid(), file.gid(), file.mode())
    };
    let before = of(&current);
    for _ in 0..2 {
        let rotated = home
            .command(&["secret", "rotate"])
            .env("SIGNET_JWT_SECRET_FILE", "secret")
            .env("SIGNET_JWT_PREVIOUS_SECRETS_FILE", "previous")
            .output()
            .unwrap();
        stdout(&rotated);
        assert_eq!((of(&current), of(&previous)), (before, before));
    }
}

#[test]
fn failed_rotation_reports_the_cause() {
    let home = Home::on_sqlite();
    let rotate = ["secret", "rotate"];
    let (code, said) = failure(&home.run(&rotate));
    assert!(
        code == 1 && said.contains("no secret at") && said.contains("signet serve"),
        "{said}"
    );
    drop(home.serve(&[]));
    for (name, value, cause) in [
        (
            "SIGNET_JWT_SECRET",
            SECRET,
            "the secret is the value of SIGNET_JWT_SECRET,",
        ),
        (
            "SIGNET_JWT_PREVIOUS_SECRETS",
            SECRET,
            "the secret is the value of SIGNET_JWT_PREVIOUS_SECRETS,",
        ),
        (
            "SIGNET_DATABASE_URL",
            "sqlite::memory:",
            "set SIGNET_JWT_SECRET_FILE",
        ),
        ("SIGNET_JWT_SECRET_FILE", "spaces", "cannot be a line"),
    ] {
        fs::write(home.path().join("spaces"), format!("two words {SECRET} ")).unwrap();
        let output = home.command(&rotate).env(name, value).output().unwrap();
        let (code, said) = failure(&output);
        assert!(code == 1 && said.contains(cause), "{name}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    // If the command cannot write, for example on a read-only mount, it changes no file.
    let before = files(&home.path().join("data"));
    let (code, said) = failure(&without_space(&home.command(&rotate)).output().unwrap());
    assert!(
        code == 1 && said.contains("the old secret still signs"),
        "{said}"
    );
    assert_eq!(files(&home.path().join("data")), before);
}

/// A rename would replace a link, or a device such as /dev/null.
#[test]
fn rotation_replaces_only_regular_files() {
    let home = Home::on_sqlite();
    let file = |name: &str| home.path().join(name);
    fs::write(file("real"), SECRET).unwrap();
    std::os::unix::fs::symlink("real", file("link")).unwrap();
    fs::hard_link(file("real"), file("same")).unwrap();
    let rotate = |current: &str, previous: &str| {
        let mut command = home.command(&["secret", "rotate"]);
        command.env("SIGNET_JWT_SECRET_FILE", current);
        command.env("SIGNET_JWT_PREVIOUS_SECRETS_FILE", previous);
        command.output().unwrap()
    };
    for (current, previous, cause) in [
        ("real", "real", "use two files"),
        ("real", "link", "use two files"),
        ("real", "same", "use two files"),
        ("real", "/dev/null", "not a regular file"),
        ("real", ".", "not a regular file"),
    ] {
        let (code, said) = failure(&rotate(current, previous));
        assert!(code == 1 && said.contains(cause), "{previous}: {said}");
        assert_eq!(fs::read_to_string(file("real")).unwrap(), SECRET);
    }
    fs::remove_file(file("same")).unwrap();
    stdout(&rotate("link", "previous"));
    assert!(fs::symlink_metadata(file("link")).unwrap().is_symlink());
    assert_ne!(fs::read_to_string(file("real")).unwrap(), SECRET);
    assert_eq!(
        fs::read_to_string(file("previous")).unwrap().trim_end(),
        SECRET
    );
}

#[test]
fn status_shows_the_age_and_the_use_of_each_secret() {
    let home = Home::on_sqlite();
    let (_, said) = failure(&home.run(&["secret", "status"]));
    assert!(said.contains("no secret yet"), "{said}");
    stdout(&home.feed(
        &[
            "user",
            "create",
            "jonhdoeqa@email.com",
            "--password-stdin",
            "--force",
        ],
        "1234ABCD\n",
    ));
    let mut service = home.serve(&["--admin-listen", "127.0.0.1:0"]);
    let token = login(&service);
    stdout(&home.run(&["secret", "rotate"]));
    let admin: Value = serde_json::from_str(service.started.lines().last().unwrap()).unwrap();
    let admin = admin["admin"].as_str().unwrap().to_owned();
    let status = |format: &[&str]| {
        let mut command = home.command(&[&["secret", "status"], format].concat());
        let output = command.env("SIGNET_ADMIN_LISTEN", &admin).output().unwrap();
        let note = String::from_utf8(output.stderr.clone()).unwrap();
        (stdout(&output), note)
    };
    // Columns: secret, file, age, end and number of verified tokens.
    let columns = |row: &str| row.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let (text, note) = status(&[]);
    assert!(note.contains("send SIGHUP to the service"), "{note}");
    assert_eq!(columns(text.lines().next().unwrap())[4], "");
    reload(&mut service);
    assert_eq!(refresh(&service, &token), 200);
    let (text, note) = status(&[]);
    assert_eq!(note, "");
    let rows: Vec<_> = text.lines().map(columns).collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert_eq!((&*rows[0][0], &*rows[0][4]), ("current", "0"));
    assert_eq!((&*rows[1][0], &*rows[1][4]), ("previous 1", "1"));
    assert!(rows[1][1].ends_with("signet.db.secret.previous"), "{text}");
    assert!(rows[1][2].ends_with(" ago"), "{text}");
    let json: Value = serde_json::from_str(&status(&["--json"]).0).unwrap();
    assert_eq!(json["secrets"][1]["secret"], "previous 1");
    assert_eq!(json["secrets"][1]["verified"], 1);
    assert_eq!(json["verified_unknown"], Value::Null);
    let output = home.run(&["secret", "status"]);
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("SIGNET_ADMIN_LISTEN is not set"), "{note}");
    service.signal("-TERM");
    service.wait();
    let (_, note) = status(&[]);
    assert!(note.contains("did not respond"), "{note}");
}
