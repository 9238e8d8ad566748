//! The README: its commands print what it says they print, and its table names every setting.

use std::process::{Command, Stdio};

use crate::binary::Home;

const README: &str = include_str!("../../README.md");

#[test]
fn the_settings_are_those_of_the_service() {
    let rows: Vec<_> = signet::config::settings()
        .iter()
        .map(|setting| {
            let default = setting
                .default
                .as_ref()
                .map(|default| format!("`{default}`"));
            format!(
                "| `{}` | {} | {} |\n",
                setting.variable(),
                default.unwrap_or_default(),
                setting.description
            )
        })
        .collect();
    let rows = rows.concat();
    let table = format!("| variable | default | what it is |\n|---|---|---|\n{rows}\n");
    assert!(
        README.contains(&table),
        "the README's settings must be:\n\n{table}"
    );
}

/// Runs every `console` block in a shell of its own, against a demo of its own.
#[test]
fn the_commands_print_what_it_says() {
    let blocks: Vec<_> = README
        .split("```console\n")
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let home = Home::new();
        let service = home.serve(&["--demo"]);
        let commands: String = block
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .map(|command| command.replace("127.0.0.1:8000", &service.address.to_string()) + "\n")
            // What curl prints does not end with a line break; the page shows one.
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
            // The first command makes the database, and says so.
            .env("SIGNET_LOG", "warn")
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        let expected = block.lines().filter(|line| !line.starts_with("$ "));
        let mut printed = said.lines();
        for line in expected {
            let got = printed.next().unwrap_or_default();
            assert!(
                fits(got, line),
                "expected {line}\nbut got  {got}\nfrom\n{commands}{said}"
            );
        }
        assert_eq!(
            printed.next(),
            None,
            "more than expected from\n{commands}{said}"
        );
    }
}

/// Whether a line is what the page shows; there, `…` stands for what differs each time.
fn fits(got: &str, shown: &str) -> bool {
    match shown.split_once('…') {
        Some((start, end)) => {
            got.len() > start.len() + end.len() && got.starts_with(start) && got.ends_with(end)
        }
        None => got == shown,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell needs its tools, and the command under test"
)]
fn path() -> std::ffi::OsString {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_signet"));
    let mut folders = vec![binary.parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(folders).unwrap()
}
