//! The pages: their commands print what the pages show, and the generated pages are current.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    binary::{Home, stdout},
    world::{OBTAIN, REFRESH, VERIFY},
};

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

/// The page is generated from the metrics of two services: one has issued, refreshed and rejected a token, and the other has a certificate.
#[test]
fn metrics_page_is_current() {
    let home = Home::new();
    let admin = ["--demo", "--verify=on", "--admin-listen", "unix:admin.sock"];
    let service = home.serve(&admin);
    let login = json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (_, token) = service.post(OBTAIN, &login);
    service.post(REFRESH, &json!({ "token": token["token"] }));
    service.post(REFRESH, &json!({ "token": "invalid" }));
    service.post(VERIFY, &json!({ "token": "invalid" }));
    let metrics = home.metrics();
    drop(service);
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(home.path().join("cert.pem"), certificate.cert.pem()).unwrap();
    let key = certificate.signing_key.serialize_pem();
    fs::write(home.path().join("key.pem"), key).unwrap();
    let tls = ["--tls-certificate", "cert.pem", "--tls-key", "key.pem"];
    let _service = home.serve(&[&admin[..], &tls].concat());
    let metrics = metrics + &home.metrics();

    let page = metrics_page(&metrics);
    if must_update() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
        fs::write(path, &page).unwrap();
        return;
    }
    let committed = include_str!("../../docs/reference/metrics.md");
    assert_eq!(committed, page, "run `make reference`");
}

/// Returns a table with the name, the type, the labels and the description of each metric.
fn metrics_page(metrics: &str) -> String {
    let mut page = String::from(
        "# Metrics\n\n`/metrics` on the listener `SIGNET_ADMIN_LISTEN` returns these metrics. [Monitoring](../guides/monitoring.md) describes the \
         formats,\nthe alerts, and a dashboard.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let mut rows = BTreeMap::new();
    let mut lines = metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let kind = lines.next().unwrap().rsplit_once(' ').unwrap().1;
        let sample = lines.peek().unwrap_or(&"");
        let (sample, rest) = sample.split_once(['{', ' ']).unwrap_or_default();
        let labels: Vec<_> = rest
            .split(['{', ',', '}'])
            .filter_map(|label| label.split_once("=\"").map(|(name, _)| name))
            .filter(|name| *name != "le")
            .collect();
        let name = match kind {
            "histogram" => name,
            _ => sample,
        };
        let labels = labels.join(", ");
        let help = help.trim_end_matches('.');
        rows.entry(name)
            .or_insert(format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    page.extend(rows.into_values());
    page
}

/// `make reference` sets this variable.
#[expect(
    clippy::disallowed_methods,
    reason = "this variable is not a setting of the service"
)]
fn must_update() -> bool {
    std::env::var_os("UPDATE_PAGES").is_some()
}

/// The page contains the message of each log event in the source, and the name of each audit event.
#[test]
fn logs_page_lists_every_event() {
    let page = include_str!("../../docs/reference/logs.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut messages = 0;
    for file in sources(&root.join("src"))
        .into_iter()
        .chain(sources(&root.join("migration/src")))
    {
        let source = fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for level in ["error!(", "warn!(", "info!(", "debug!("] {
            for call in source.split(level).skip(1) {
                let call = call.split(");").next().unwrap();
                // The message is the last literal. Audit events have a name instead, and some messages are variables.
                let literal = call.rsplit('"').nth(1).unwrap_or_default();
                if !literal.is_empty() && !literal.contains('{') {
                    assert!(
                        page.contains(&format!("`{literal}`")),
                        "{}: {literal}",
                        file.display()
                    );
                    messages += 1;
                }
            }
        }
    }
    assert!(messages > 40, "{messages}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
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
