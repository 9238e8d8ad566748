//! `signet config`, and the configuration from the file, the environment and flags.

use std::{os::unix::fs::PermissionsExt, process::Output};

use serde_json::Value;
use signet::config::settings;

use crate::binary::{Home, Service, failure, stdout};

const SAMPLE: &str = include_str!("../../packaging/signet.toml");
const SCHEMA: &str = include_str!("../../packaging/signet.schema.json");

/// Runs a command with this content as its configuration file.
fn with(home: &Home, file: &str, args: &[&str]) -> Output {
    std::fs::write(home.path().join("signet.toml"), file).unwrap();
    home.run(&[&["--config", "signet.toml"], args].concat())
}

fn shown(output: &Output, name: &str) -> (Value, Value) {
    let shown: Value = serde_json::from_str(&stdout(output)).unwrap();
    let setting = &shown[name];
    (setting["value"].clone(), setting["source"].clone())
}

#[test]
fn flag_overrides_environment_and_environment_overrides_file() {
    let home = Home::on_sqlite();
    let file = "log = 'debug'\nstop_delay = 5\nhashing_wait = \"2m\"\ntrusted_proxies = ['10.0.0.0/8', 'unix']\n";
    std::fs::write(home.path().join("signet.toml"), file).unwrap();
    let output = home
        .command(&["config", "show", "--json", "--hashing-wait", "90"])
        .env("SIGNET_CONFIG", "signet.toml")
        .env("SIGNET_STOP_DELAY", "1h")
        .env("SIGNET_HASHING_WAIT", "7")
        .output()
        .unwrap();
    for (name, value, source) in [
        ("log", "debug", "signet.toml:1"),
        ("stop_delay", "1h", "SIGNET_STOP_DELAY"),
        ("hashing_wait", "90s", "--hashing-wait"),
        ("trusted_proxies", "10.0.0.0/8,unix", "signet.toml:4"),
    ] {
        assert_eq!(
            shown(&output, name),
            (value.into(), source.into()),
            "{name}"
        );
    }
    assert_eq!(shown(&output, "jwt_expires_in"), ("1h".into(), Value::Null));
    assert_eq!(shown(&output, "public_url"), (Value::Null, Value::Null));
}

#[test]
fn config_show_masks_secrets() {
    let home = Home::on_sqlite();
    let file = "jwt_secret = 'hunter2-hunter2-hunter2-hunter2-'\n\
                database_url = 'postgres://signet:hunter2@db/signet'\n\
                jwt_previous_secrets = \"\"\"\nhunter2\nhunter2\"\"\"\n";
    for args in [&["config", "show"][..], &["config", "show", "--json"]] {
        let said = stdout(&with(&home, file, args));
        assert!(!said.contains("hunter2"), "{said}");
        assert!(said.contains("postgres://signet:***@db/signet"), "{said}");
        assert!(said.contains("signet.toml:3"), "{said}");
    }
}

#[test]
fn check_reports_all_errors_and_no_secret() {
    let home = Home::on_sqlite();
    let file = "lsten = '127.0.0.1:0'\n\
                jwt_expires_in = 'soon'\n\
                signet_log = 'info'\n\
                jwt_secret = 2718281828\n\
                [argon2]\nmemory_kib = 7\n";
    std::fs::write(home.path().join("signet.toml"), file).unwrap();
    let output = home
        .command(&["--config", "signet.toml", "config", "check"])
        .env("SIGNET_THROTTLE", "never")
        .output()
        .unwrap();
    let (code, said) = failure(&output);
    assert_eq!(code, 2, "{said}");
    for line in [
        "error: signet.toml:1: lsten: unknown setting\nhint: did you mean listen?",
        "error: signet.toml:2: jwt_expires_in: invalid value \"soon\": not a duration",
        "error: signet.toml:3: signet_log: unknown setting\nhint: did you mean log?",
        "error: signet.toml:4: jwt_secret: invalid value: not a string in quotes",
        "error: signet.toml:5: argon2: unknown setting\nhint: did you mean argon2_memory_kib? Settings are not in tables",
        "error: SIGNET_THROTTLE: invalid value \"never\"",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(said.lines().count(), 12, "{said}");
    assert!(!said.contains("2718281828"), "{said}");
}

#[test]
fn error_about_a_url_in_a_wrong_setting_masks_its_password() {
    let home = Home::on_sqlite();
    let url = "postgres://u:hunter2@db/x";
    for setting in settings()
        .iter()
        .filter(|setting| setting.name != "database_url")
    {
        let show = home
            .command(&["config", "show"])
            .env(setting.variable(), url)
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&show.stdout),
            failure(&show).1
        );
        // A URL is also a valid path, and paths are not masked.
        let is_path = setting.name.ends_with("_file");
        assert_eq!(
            said.contains("hunter2"),
            is_path,
            "{}: {said}",
            setting.name
        );
    }
    for line in [
        "cors_origins = [1, 'https://u:hunter2@h']",
        "listen = { u = 'a:hunter2@h' }",
    ] {
        let (_, said) = failure(&with(&home, line, &["config", "show"]));
        assert!(
            said.contains(": invalid value") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[test]
fn unreadable_or_invalid_file_is_an_error() {
    let home = Home::on_sqlite();
    for (file, reason) in [
        ("jwt_secret = hunter2", "signet.toml:1: invalid TOML"),
        ("log = 'info'\nlog = 'debug'", "signet.toml:2: invalid TOML"),
    ] {
        let (code, said) = failure(&with(&home, file, &["config", "check"]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(reason) && !said.contains("hunter2"), "{said}");
    }
    let (code, said) = failure(&home.run(&["--config", "missing.toml", "serve"]));
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("missing.toml: cannot read the file"),
        "{said}"
    );
    assert!(said.contains("--config"), "{said}");
    let (code, said) = failure(&home.run(&["--config", "", "serve"]));
    assert_eq!(
        (code, said.as_str()),
        (
            2,
            "error: --config: the value is empty\nhint: set the path of a file, or unset the setting\n"
        )
    );
    assert!(!home.path().join("data").exists());
}

#[test]
fn error_of_the_file_has_a_hint() {
    let home = Home::on_sqlite();
    for (file, hint) in [
        ("log = info", "text in quotes, as in log = \"info\""),
        (
            "argon2_iterations = -5",
            "too small or too large\nhint: argon2_iterations: ",
        ),
        ("[jwt]\nexpires_in = 5", "did you mean jwt_expires_in?"),
        (
            "colour = 'red'",
            "`signet config sample` shows every setting",
        ),
    ] {
        let (code, said) = failure(&with(&home, file, &["config", "check"]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn check_rejects_conflicting_and_incomplete_settings() {
    let home = Home::on_sqlite();
    for (file, reason) in [
        (
            "jwt_secret = 'x'\njwt_secret_file = 'y'",
            "signet.toml:1: jwt_secret: signet.toml:2: jwt_secret_file is also set",
        ),
        (
            "tls_key = 'key.pem'",
            "signet.toml:1: tls_key: tls_certificate is not set",
        ),
        (
            "tls_certificate = 'a.pem'",
            "tls_certificate: tls_key is not set",
        ),
    ] {
        let (code, said) = failure(&with(&home, file, &["config", "check"]));
        assert_eq!(code, 2);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn check_reads_secret_and_certificate_but_creates_no_file() {
    let home = Home::on_sqlite();
    let said = stdout(&with(&home, "log = 'info'", &["config", "check"]));
    assert_eq!(said, "configuration valid (3 settings; file signet.toml)\n");
    let file = "jwt_secret_file = 'missing'\ntls_certificate = 'a.pem'\ntls_key = 'b.pem'\n";
    let (code, said) = failure(&with(&home, file, &["config", "check"]));
    assert_eq!(code, 2);
    for reason in [
        "cannot read missing",
        "cannot read the certificate in a.pem",
    ] {
        assert!(said.contains(reason), "{said}");
    }
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn check_and_serve_report_the_same_errors() {
    let home = Home::on_sqlite();
    for file in [
        "jwt_previous_secrets_file = 'missing'\n",
        "jwt_previous_secrets = '2027-13-31T00:00:00Z x'\n",
        "database_url = 'mysql://x'\njwt_secret = '0123456789abcdef0123456789abcdef'\n",
        "log = 'signet=loud'\nlisten = 'x'\n",
        "argon2_memory_kib = 7\ntls_certificate = 'a'\ntls_key = 'b'\n",
        "connections = '5'\n",
        "throttle = false\n",
        "socket_mode = 660\n",
        "listen = 'unix:a'\nadmin_listen = 'unix:a'\n",
        "database_wait = '25h'\n",
    ] {
        let check = failure(&with(&home, file, &["config", "check"]));
        let serve = failure(&with(&home, file, &["serve"]));
        assert_eq!(check, serve);
        assert_eq!(check.0, 2, "{file}");
        assert!(!home.path().join("data").exists(), "{file}");
    }
    let (_, said) = failure(&with(
        &home,
        "log = 'signet=loud'\nlisten = 'x'\n",
        &["serve"],
    ));
    assert_eq!(said.lines().count(), 4, "{said}");
    let (_, said) = failure(&with(&home, "throttle = false\n", &["serve"]));
    assert!(said.contains("not a string in quotes"), "{said}");
}

#[test]
fn check_rejects_origins_that_never_match() {
    let home = Home::on_sqlite();
    for (origins, cause) in [
        (
            "https://*.example.com",
            r#""https://*.example.com" is not an origin"#,
        ),
        ("https://a.example,*", r#""*" is not an origin"#),
        (
            "https://.example.com",
            r#""https://.example.com" is not an origin"#,
        ),
        ("https://a.example/", "write https://a.example"),
        (
            "file:///index.html",
            r#""file:///index.html" is not an origin"#,
        ),
        ("null", r#""null" is not an origin"#),
    ] {
        let file = format!("cors_origins = '{origins}'\n");
        let (code, said) = failure(&with(&home, &file, &["config", "check"]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(cause), "{said}");
    }
    let file =
        "cors_origins = ['https://a.example', 'capacitor://localhost', 'tauri://localhost']\n";
    stdout(&with(&home, file, &["config", "check"]));
}

#[test]
fn check_rejects_more_than_one_client_ip_header() {
    let home = Home::on_sqlite();
    for header in ["x-forwarded-for,forwarded", "x forwarded for", "é"] {
        let file = format!("client_ip_header = '{header}'\n");
        let (code, said) = failure(&with(&home, &file, &["config", "check"]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("not the name of a header"), "{said}");
    }
    let file = "client_ip_header = 'X-Real-IP'\ntrusted_proxies = '::ffff:10.0.0.0/104'\n";
    let output = with(&home, file, &["config", "show", "--json"]);
    assert_eq!(shown(&output, "client_ip_header").0, "x-real-ip");
    assert_eq!(shown(&output, "trusted_proxies").0, "10.0.0.0/8");
}

#[test]
fn environment_secret_overrides_secret_file_setting() {
    let home = Home::on_sqlite();
    std::fs::write(
        home.path().join("signet.toml"),
        "jwt_secret_file = 'missing'\n",
    )
    .unwrap();
    let mut show = home.command(&["--config", "signet.toml", "config", "show", "--json"]);
    show.env("SIGNET_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let output = show.output().unwrap();
    assert_eq!(shown(&output, "jwt_secret").1, "SIGNET_JWT_SECRET");
    assert_eq!(
        shown(&output, "jwt_secret_file"),
        (Value::Null, Value::Null)
    );
}

#[test]
fn service_starts_with_the_largest_values() {
    let home = Home::on_sqlite();
    let service = home.serve(&[
        "--demo",
        "--connections",
        "4294967295",
        "--header-bytes",
        "409600",
        "--header-timeout",
        "4294967295",
        "--body-timeout",
        "4294967295",
        "--write-timeout",
        "4294967295",
        "--stop-timeout",
        "4294967295",
        "--hashing-wait",
        "4294967295",
        "--database-wait",
        "1d",
        "--database-connections",
        "4294967295",
        "--jwt-expires-in",
        "4294967295",
        "--jwt-refresh-window",
        "4294967295",
    ]);
    let documented = serde_json::json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (status, body) = service.post(crate::world::OBTAIN, &documented);
    assert_eq!(
        (status, &body["expires_in"]),
        (200, &4_294_967_295_i64.into())
    );
}

#[test]
fn values_out_of_bounds_are_rejected() {
    let home = Home::on_sqlite();
    for (flag, value, cause) in [
        ("--header-bytes", "0", "less than 2048 bytes"),
        ("--header-bytes", "1", "less than 2048 bytes"),
        ("--header-bytes", "2047", "less than 2048 bytes"),
        ("--header-bytes", "409601", "more than 409600 bytes"),
        ("--header-bytes", "4294967296", "more than 409600 bytes"),
        ("--public-url", "https://x/\"><script>", "not a valid URL"),
        (
            "--public-url",
            "https://user@x",
            ": invalid value: the URL contains a user name or a password",
        ),
        (
            "--public-url",
            "https://x:hunter2@y",
            ": invalid value: the URL contains a user name or a password",
        ),
        (
            "--public-url",
            "https://:hunter2@x",
            "the URL contains a user name or a password",
        ),
        (
            "--public-url",
            "https://@x",
            "the URL contains a user name or a password",
        ),
        (
            "--public-url",
            "https://u:\u{e9}/hunter2@x",
            "not a valid URL",
        ),
        ("--public-url", "https:///x", "not an http or https URL"),
        ("--public-url", "https://x/%zz", "not a valid URL"),
        ("--public-url", "https://x/[a]", "not a valid URL"),
        (
            "--public-url",
            "https://*.example.com",
            "the host is not a host name",
        ),
        (
            "--public-url",
            "https://x'onload='y",
            "the host is not a host name",
        ),
        (
            "--public-url",
            "https://a..b",
            "the host is not a host name",
        ),
        ("--public-url", "https://x?a", "query"),
    ] {
        for command in [&["config", "check"][..], &["serve", "--demo"]] {
            let (code, message) = failure(&home.run(&[command, &[flag, value]].concat()));
            assert!(
                code != 0 && message.contains(cause),
                "{flag} {value}: {message}"
            );
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
    stdout(&home.run(&["config", "check", "--header-bytes", "2048"]));
}

#[test]
fn serve_reads_the_file() {
    let home = Home::on_sqlite();
    let file = "listen = '127.0.0.1:0'\njwt_expires_in = '5m'\n";
    std::fs::write(home.path().join("signet.toml"), file).unwrap();
    let service = Service::start(home.command(&["serve", "--demo", "--config", "signet.toml"]));
    let documented = serde_json::json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" });
    let (_, body) = service.post(crate::world::OBTAIN, &documented);
    assert_eq!(body["expires_in"], 300);
}

#[test]
fn migrate_reads_the_file_and_creates_a_private_database() {
    let home = Home::on_sqlite();
    let file =
        "database_url = 'sqlite:elsewhere/accounts.db'\nlisten = 'unix:http.sock'\nlog = 'warn'\n";
    stdout(&with(&home, file, &["migrate"]));
    let mode = home
        .path()
        .join("elsewhere/accounts.db")
        .metadata()
        .unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn committed_sample_and_schema_are_current() {
    let home = Home::on_sqlite();
    for (command, committed) in [("sample", SAMPLE), ("schema", SCHEMA)] {
        // These commands do not read the file.
        let current = stdout(&home.run(&["--config", "missing", "config", command]));
        assert_eq!(
            current, committed,
            "packaging/signet.{{toml,schema.json}} are outdated: run `make sample`, and review the changes"
        );
    }
    assert!(SAMPLE.starts_with("#:schema ./signet.schema.json\n"));
}
