//! Runs the `signet` command as a process in a new folder, without the environment of the test process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::store::Store;

/// Read timeout of a response. It is longer than any response takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder in which commands run, and a database. Both are deleted when this value is dropped.
pub(crate) struct Home {
    folder: TempDir,
    /// The environment variables that select the database. Empty if the commands create a SQLite database in the folder.
    pub(crate) environment: Vec<(&'static str, String)>,
    store: Option<Store>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let mut home = Self::on_sqlite();
        if Store::is_postgres() {
            home.take(Store::new());
        }
        home
    }

    /// Creates a home with this database.
    pub(crate) fn on(store: Store) -> Self {
        let mut home = Self::on_sqlite();
        home.take(store);
        home
    }

    fn take(&mut self, store: Store) {
        let secret = crate::world::SECRET.to_owned();
        self.environment = vec![
            ("SIGNET_DATABASE_URL", store.url()),
            ("SIGNET_JWT_SECRET", secret),
        ];
        self.store = Some(store);
    }

    /// Creates a home with a SQLite database, for tests of the database files.
    pub(crate) fn on_sqlite() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
            store: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the URL of the database that the commands create or open.
    pub(crate) fn database(&self) -> String {
        match &self.store {
            Some(store) => store.url(),
            None => format!("sqlite:{}", self.path().join("data/signet.db").display()),
        }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        command
            .args(args)
            .env_clear()
            // Ignores the configuration file of this machine.
            .env("SIGNET_CONFIG", "/dev/null")
            // Low cost, so that a test can hash often.
            .env("SIGNET_ARGON2_MEMORY_KIB", "32")
            .env("SIGNET_ARGON2_ITERATIONS", "1")
            .envs(self.environment.iter().cloned())
            .current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command with `input` on its standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The write fails if the command fails before it reads the input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Returns the metrics of a service whose admin listener is `admin.sock` in this folder.
    pub(crate) fn metrics(&self) -> String {
        let mut operator = UnixStream::connect(self.path().join("admin.sock")).unwrap();
        let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        operator.write_all(ask).unwrap();
        let mut metrics = String::new();
        operator.read_to_string(&mut metrics).unwrap();
        metrics
    }

    /// Starts a service on a free port. Returns after the service has logged `listening`.
    pub(crate) fn serve(&self, args: &[&str]) -> Service {
        let args = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        Service::start(self.command(&args))
    }
}

/// A running service. The process is killed when this value is dropped.
pub(crate) struct Service {
    child: Child,
    log: BufReader<ChildStderr>,
    /// `0.0.0.0:0` if the service listens on a Unix socket.
    pub(crate) address: SocketAddr,
    /// The log up to the line `listening`.
    pub(crate) started: String,
}

impl Service {
    /// Returns the whole standard output, after the process has ended.
    pub(crate) fn stdout(&mut self) -> String {
        let mut output = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut output).unwrap();
        output
    }

    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::of(command)
    }

    /// Starts a service with the standard input of the command.
    #[expect(clippy::zombie_processes, reason = "`Drop` reaps the process")]
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).unwrap();
            assert!(read > 0, "the service did not start:\n{seen}");
            seen.push_str(&line);
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "listening" {
                let place = event["address"].as_str().unwrap();
                let address = place.parse().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
                return Self {
                    child,
                    log,
                    address,
                    started: seen,
                };
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(killed.success());
    }

    /// Returns a value of `/proc/<pid>/status` in KiB, such as `VmHWM`, the peak memory.
    pub(crate) fn memory_kib(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with(figure))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Reads the log up to a line whose message starts with this text, and returns that line.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert!(
                read > 0,
                "no line with the message {message:?} in the rest of the log"
            );
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with(message))
            {
                return event;
            }
        }
    }

    /// Reads this many bytes of the log.
    pub(crate) fn read_log(&mut self, bytes: usize) {
        self.log.read_exact(&mut vec![0; bytes]).unwrap();
    }

    /// Returns the exit status, and does not read the log.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Returns the exit status, and the log after the line `listening`.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }

    /// Sends one request on a new connection. Returns the status and the body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(self.address, request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            serde_json::from_str(body).unwrap(),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `bytes`, and reads until the server closes the connection.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // A missing response fails the test at this line instead of blocking it.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the exit code and the standard error.
pub(crate) fn failure(output: &Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code().unwrap(), said)
}
