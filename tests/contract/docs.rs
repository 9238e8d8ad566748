//! The pages: their commands print what the pages show, and the generated pages are current.

use std::process::{Command, Stdio};

use crate::binary::{Home, stdout};

const PAGES: [&str; 2] = [
    include_str!("../../README.md"),
    include_str!("../../docs/start/quickstart.md"),
];

#[test]
fn reference_pages_are_current() {
    let home = Home::new();
    for (command, page) in [
        (
            &["config", "reference"],
            include_str!("../../docs/reference/configuration.md"),
        ),
        (
            &["man", "--markdown"],
            include_str!("../../docs/reference/cli.md"),
        ),
    ] {
        let current = stdout(&home.run(command));
        assert_eq!(page, current, "run `make reference`");
    }
}

/// Runs each `console` block in a separate shell, with a separate demo.
#[test]
fn commands_print_what_the_pages_show() {
    let blocks: Vec<_> = PAGES
        .iter()
        .flat_map(|page| page.split("```console\n").skip(1))
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        let home = Home::new();
        let service = home.serve(&["--demo"]);
        let commands: String = block
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .map(|command| command.replace("127.0.0.1:8000", &service.address.to_string()) + "\n")
            // The output of curl does not end with a line break, but the page shows one.
            .map(|command| {
                if command.starts_with("curl") {
                    command + "echo\n"
                } else {
                    command
                }
            })
            .collect();
        let output = Command::new("sh")
            .args(["-euc", &commands])
            .env("PATH", path())
            // The first command logs that it creates the database.
            .env("SIGNET_LOG", "warn")
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        let expected = block.lines().filter(|line| !line.starts_with("$ "));
        let mut lines = printed.lines();
        for line in expected {
            let got = lines.next().unwrap_or_default();
            assert!(
                fits(got, line),
                "expected {line}\nbut got  {got}\nfrom\n{commands}{printed}"
            );
        }
        assert_eq!(
            lines.next(),
            None,
            "more than expected from\n{commands}{printed}"
        );
    }
}

/// Returns whether a line is what the page shows. In the page, `…` matches text that differs each time, and columns are aligned as on a
/// terminal.
fn fits(got: &str, shown: &str) -> bool {
    let joined = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (got, shown) = (joined(got), joined(shown));
    match shown.split_once('…') {
        Some((start, end)) => {
            got.len() > start.len() + end.len() && got.starts_with(start) && got.ends_with(end)
        }
        None => got == shown,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell needs its tools and the command under test"
)]
fn path() -> std::ffi::OsString {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_signet"));
    let mut folders = vec![binary.parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(folders).unwrap()
}
