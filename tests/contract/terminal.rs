//! Prompts and output on a real terminal. Passwords are not shown, and the settings of the terminal are restored.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::binary::{Home, stdout};

const ADD: [&str; 3] = ["user", "create", "you@example.com"];

/// A command that runs on a new pseudoterminal.
struct Session {
    child: Child,
    keyboard: File,
    /// The command's side of the pseudoterminal, to read its modes.
    terminal: File,
    shown: String,
}

impl Session {
    fn start(home: &Home, args: &[&str]) -> Self {
        Self::run(home.path(), &home.command(args))
    }

    /// Starts the command in this folder.
    fn run(folder: &Path, signet: &Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let terminal = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let theirs = || Stdio::from(OwnedFd::from(terminal.try_clone().unwrap()));
        // The pseudoterminal becomes the controlling terminal of the command, as in a shell.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(signet.get_program())
            .args(signet.get_args())
            .env_clear()
            .env("TERM", "xterm")
            .envs(
                signet
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(folder)
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs());
        Self {
            child: command.spawn().unwrap(),
            keyboard: File::from(ours),
            terminal,
            shown: String::new(),
        }
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Reads the output up to a prompt. Returns after the command has disabled echo.
    fn wait_for(&mut self, prompt: &str) {
        let mut byte = [0];
        while !self.shown.ends_with(prompt) {
            self.keyboard.read_exact(&mut byte).unwrap();
            self.shown.push(byte[0].into());
        }
        while self.echoes() {
            std::thread::yield_now();
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Returns the exit code and the complete output.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        assert!(self.echoes(), "the command did not enable echo again");
        // The read below returns only after every descriptor of the command's side is closed.
        drop(self.terminal);
        let mut rest = Vec::new();
        let _ = self.keyboard.read_to_end(&mut rest);
        self.shown += &String::from_utf8_lossy(&rest);
        (status.code(), self.shown)
    }
}

#[test]
fn password_is_prompted_twice_and_not_shown() {
    let home = Home::new();
    let mut session = Session::start(&home, &ADD);
    session.wait_for("Password: ");
    session.type_in("correct horse\n");
    session.wait_for("Repeat the password: ");
    session.type_in("correct horse\n");
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("created account 1 (you@example.com)"),
        "{shown}"
    );
    assert!(!shown.contains("horse"), "{shown}");

    let mut session = Session::start(&home, &["user", "set-password", "you@example.com"]);
    session.wait_for("Password: ");
    session.type_in("correct horse\n");
    session.wait_for("Repeat the password: ");
    session.type_in("another horse\n");
    session.wait_for("Password: ");
    session.type_in("a third horse\n");
    session.wait_for("Repeat the password: ");
    session.type_in("a third horse\n");
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("the passwords differ"), "{shown}");
    assert!(shown.contains("set the password of account 1"), "{shown}");
}

#[test]
fn interrupted_prompt_adds_no_account_and_restores_the_terminal() {
    let home = Home::new();
    for (typed_before, prompt) in [
        ("", "Password: "),
        ("correct horse\n", "Repeat the password: "),
    ] {
        let mut session = Session::start(&home, &ADD);
        session.wait_for("Password: ");
        session.type_in(typed_before);
        session.wait_for(prompt);
        session.type_in("corr\u{3}");
        let (code, shown) = session.end();
        assert_eq!(code, Some(130), "{shown}");
        assert!(
            shown.contains("interrupted: no changes were made"),
            "{shown}"
        );
    }
    let mut session = Session::start(&home, &ADD);
    session.wait_for("Password: ");
    // `setsid` has replaced itself with the command, so this is the command's process ID.
    let killed = Command::new("kill")
        .arg(session.child.id().to_string())
        .status();
    assert!(killed.unwrap().success());
    let (code, shown) = session.end();
    assert_eq!(code, Some(130), "{shown}");
    // Ctrl-D closes the input.
    let mut session = Session::start(&home, &ADD);
    session.wait_for("Password: ");
    session.type_in("\u{4}");
    let (code, shown) = session.end();
    assert_eq!(code, Some(1), "{shown}");
    stdout(&home.run(&["migrate"]));
    assert_eq!(stdout(&home.run(&["user", "list"])), "");
}

#[test]
fn import_shows_its_progress() {
    let home = Home::new();
    let dump = home.path().join("dump.json");
    std::fs::write(dump, include_str!("django-dump.json")).unwrap();
    let session = Session::start(&home, &["user", "import", "dump.json"]);
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(" %, 28 accounts"), "{shown:?}");
    // Warnings about accounts do not break the progress bar, and the summary is the last line.
    assert!(
        shown.contains("warning: line 528, column 1, ID 19"),
        "{shown:?}"
    );
    assert!(
        shown
            .trim_end()
            .ends_with("(argon2 1, pbkdf2_sha256 26, unusable 1)"),
        "{shown:?}"
    );
}

#[test]
fn deletion_prompt_shows_a_harmless_email() {
    let home = Home::new();
    let email = "a\u{1b}[2J\u{9b}\u{202e}\r\n@example.com";
    let fields = serde_json::json!({ "email": email, "password": "!" });
    let dump = serde_json::json!([{ "model": "auth.user", "pk": 1, "fields": fields }]);
    std::fs::write(home.path().join("dump.json"), dump.to_string()).unwrap();
    stdout(&home.run(&["user", "import", "dump.json"]));
    let mut session = Session::start(&home, &["user", "delete", email]);
    session.type_in("y\n");
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown}");
    let harmless = "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}@example.com";
    assert!(
        shown.contains(&format!("Delete account 1 ({harmless})")),
        "{shown:?}"
    );
    assert!(
        shown.contains(&format!("deleted account 1 ({harmless})")),
        "{shown:?}"
    );
    // The log uses escape sequences for colors, so this checks only the sequence of the email.
    assert!(!shown.contains("\u{1b}[2J"), "{shown:?}");
    assert!(!shown.contains(['\u{9b}', '\u{202e}']), "{shown:?}");
}

#[test]
fn tables_on_a_terminal_have_a_header_and_aligned_columns() {
    let home = Home::new();
    for email in ["a@example.com", "someone.else@example.com"] {
        let add = ["user", "create", email, "--password-stdin"];
        stdout(&home.feed(&add, "correct horse\n"));
    }
    let list = ["user", "list", "--color", "never"];
    let (code, shown) = Session::start(&home, &list).end();
    assert_eq!(code, Some(0), "{shown}");
    let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "ID  EMAIL                     STATUS  LAST LOGIN",
            "1   a@example.com             active",
            "2   someone.else@example.com  active",
        ]
    );
    // A pipe gets the columns with tabs and without a header.
    assert_eq!(
        stdout(&home.run(&["user", "list"])),
        "1\ta@example.com\tactive\t\n2\tsomeone.else@example.com\tactive\t\n"
    );
}

#[test]
fn errors_are_colored_only_on_terminals_that_want_colors() {
    const ERROR: &str = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no database at";
    let home = Home::on_sqlite();
    for (flags, variable, is_colored) in [
        (&[][..], ("TERM", "xterm"), true),
        (&[], ("NO_COLOR", "1"), false),
        (&[], ("TERM", "dumb"), false),
        (&["--color", "never"], ("TERM", "xterm"), false),
        (&["--color", "always"], ("NO_COLOR", "1"), true),
    ] {
        let mut signet = home.command(&[&["user", "list"], flags].concat());
        signet.env("TERM", "xterm").env(variable.0, variable.1);
        let (code, shown) = Session::run(home.path(), &signet).end();
        assert_eq!(code, Some(1), "{shown}");
        assert_eq!(shown.contains(ERROR), is_colored, "{flags:?}: {shown:?}");
        assert_eq!(shown.contains('\u{1b}'), is_colored, "{flags:?}: {shown:?}");
    }
}

/// Also if standard error is a file.
#[test]
fn closing_the_terminal_stops_a_demo() {
    let home = Home::on_sqlite();
    let mut shell = std::process::Command::new("/bin/sh");
    let signet = home.command(&[]);
    shell.envs(
        signet
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.args(["-c", "exec \"$0\" serve --demo --listen 127.0.0.1:0 2>log"]);
    shell.arg(signet.get_program());
    let mut session = Session::run(home.path(), &shell);
    // The last line of the banner.
    let mut byte = [0];
    while !session.shown.contains("Ctrl-C") {
        session.keyboard.read_exact(&mut byte).unwrap();
        session.shown.push(byte[0].into());
    }
    drop((session.keyboard, session.terminal));
    let status = session.child.wait().unwrap();
    assert_eq!(status.signal(), Some(1), "{status}");
}

#[test]
fn help_and_errors_of_arguments_respect_the_color_option() {
    let home = Home::on_sqlite();
    for args in [&["user", "--help"][..], &["user", "lost"]] {
        for (color, is_colored) in [
            (&["--color", "never"][..], false),
            (&["--color=never"], false),
            (&["--color", "auto"], true),
        ] {
            let signet = home.command(&[args, color].concat());
            let (_, shown) = Session::run(home.path(), &signet).end();
            assert_eq!(shown.contains('\u{1b}'), is_colored, "{color:?}: {shown:?}");
        }
    }
}

#[test]
fn long_table_has_one_header() {
    let home = Home::new();
    let user = |id| {
        let email = format!("user{id}@example.com");
        let fields = serde_json::json!({ "email": email, "password": "!" });
        serde_json::json!({ "model": "auth.user", "pk": id, "fields": fields })
    };
    let dump: serde_json::Value = (1..=501).map(user).collect();
    std::fs::write(home.path().join("dump.json"), dump.to_string()).unwrap();
    stdout(&home.run(&["user", "import", "dump.json"]));
    let mut session = Session::start(&home, &["user", "list"]);
    let mut lines = BufReader::new(&mut session.keyboard).lines();
    let shown: Vec<_> = lines.by_ref().take(502).map(Result::unwrap).collect();
    let headers = shown.iter().filter(|line| line.contains("LAST LOGIN"));
    assert_eq!(headers.count(), 1);
    assert!(shown[501].starts_with("501 "), "{}", shown[501]);
}

#[test]
fn end_of_input_cancels_a_prompt() {
    let home = Home::new();
    let mut session = Session::start(&home, &ADD);
    session.wait_for("Password: ");
    session.type_in("\u{4}");
    let (code, shown) = session.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("canceled: no password was entered"),
        "{shown}"
    );
}

#[test]
fn log_has_colors_only_on_terminals_that_want_colors() {
    let home = Home::on_sqlite();
    for (flags, is_colored) in [(&[][..], true), (&["--color", "never"], false)] {
        let mut signet = home.command(&[&["migrate", "status"], flags].concat());
        // The command warns of an unknown variable.
        signet.env("TERM", "xterm").env("SIGNET_COLOUR", "red");
        let (code, shown) = Session::run(home.path(), &signet).end();
        assert_eq!(code, Some(0), "{shown}");
        let warning = shown.lines().find(|line| line.contains("SIGNET_COLOUR"));
        let is_warning_colored = warning.unwrap().contains('\u{1b}');
        assert_eq!(is_warning_colored, is_colored, "{flags:?}: {shown:?}");
    }
}

#[test]
fn doctor_shows_symbols_and_hints_on_a_terminal() {
    let home = Home::on_sqlite();
    let args = ["doctor", "--color", "never"];
    let (code, shown) = Session::start(&home, &args).end();
    assert_eq!(code, Some(0), "{shown}");
    let shown = shown.replace("\r\n", "\n");
    assert!(shown.contains("✓ configuration  "), "{shown}");
    let (_, after) = shown.split_once("! database       ").unwrap();
    let hint = "hint: `signet serve` and `signet migrate` create the database";
    assert_eq!(after.lines().nth(1).unwrap().trim_start(), hint);
}
