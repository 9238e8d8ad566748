//! The files of the secrets: how the service and `signet secret` create and replace them.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    binary::{Home, Service, failure},
    world::SECRET,
};

/// Every file of a folder, with its contents.
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

/// The same command, in a process that can write to no file.
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
fn failed_write_of_a_new_secret_leaves_no_draft() {
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
