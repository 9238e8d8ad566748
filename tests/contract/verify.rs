//! `signet verify-compat`, as far as it needs no Django: `make test-django` compares with one.

use crate::binary::{Home, Service, failure, stdout};

const DOCUMENTED: &str = "jonhdoeqa@email.com";

fn demo(home: &Home, secret: &str) -> Service {
    let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command
        .env("SIGNET_THROTTLE", "off")
        .env("SIGNET_JWT_SECRET", secret)
        // Nobody reads what it would log of every request.
        .env("SIGNET_LOG", "signet::cli=info");
    Service::start(command)
}

fn url(service: &Service) -> String {
    format!("http://{}/", service.address)
}

#[test]
fn a_service_compares_with_itself_as_the_same() {
    let home = Home::new();
    let [one, other] = [demo(&home, &"s".repeat(32)), demo(&home, &"s".repeat(32))];
    let (old, new) = (url(&one), url(&other));
    let compare = ["verify-compat", "--old", &old, "--new", &new];
    let said = stdout(&home.run(&compare));
    let last = "169 the same, 0 differ as expected, 0 differ unexpectedly\n";
    assert_eq!(said, last);
    let with_account = [&compare[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
    let said = stdout(&home.feed(&with_account, "1234ABCD\n"));
    assert_eq!(said, last.replace("169", "173"));

    // Wrong credentials are nothing to compare with.
    let output = home.feed(&with_account, "wrong\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("UNEXPECTED  obtain: the old service answers 400"),
        "{said}"
    );
}

#[test]
fn services_of_different_secrets_are_told_apart() {
    let home = Home::new();
    let [one, other] = [demo(&home, &"s".repeat(32)), demo(&home, &"t".repeat(32))];
    let (old, new) = (url(&one), url(&other));
    let compare = ["verify-compat", "--old", &old, "--new", &new];
    let compare = [&compare[..], &["--email", DOCUMENTED, "--password-stdin"]].concat();
    let output = home.feed(&compare, "1234ABCD\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    for (at, by) in [("new", "old"), ("old", "new")] {
        let told =
            format!("UNEXPECTED  refresh at the {at} service what the {by} one issued: 400 ");
        assert!(said.contains(&told), "{said}");
    }
    assert!(said.contains("have both the same secret"), "{said}");
    assert!(!said.contains("eyJ"), "a token is told: {said}");
}

#[test]
fn what_is_no_service_is_told() {
    let home = Home::new();
    let service = demo(&home, &"s".repeat(32));
    let there = url(&service);
    for (old, code, reason) in [
        (
            "http://127.0.0.1:1",
            1,
            "the old service at http://127.0.0.1:1 does not answer",
        ),
        ("127.0.0.1:8000", 2, "--old is not a URL such as https://"),
        ("ftp://127.0.0.1", 2, "is not a URL"),
    ] {
        let (said_code, said) =
            failure(&home.run(&["verify-compat", "--old", old, "--new", &there]));
        assert_eq!(said_code, code);
        assert!(said.contains(reason), "{said}");
    }
}
