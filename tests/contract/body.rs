//! Request bodies: valid JSON, and the errors for invalid fields.

use serde_json::json;

use crate::world::{OBTAIN, REFRESH, World, post};

const EMAIL: &str = "Enter a valid email address.";
const NOT_A_STRING: &str = "Not a valid string.";

#[tokio::test]
async fn numbers_of_any_size_are_valid_json() {
    let world = World::new().await;
    world.add_documented().await;
    let digits = "9".repeat(400);
    for number in ["1e400", "-1e400", &digits, "0.1e-999"] {
        let ignored =
            format!(r#"{{"email":"jonhdoeqa@email.com","password":"1234ABCD","z":{number}}}"#);
        world.send(post(OBTAIN, ignored)).await.token();
        let answer = world
            .send(post(
                OBTAIN,
                format!(r#"{{"email":{number},"password":{number}}}"#),
            ))
            .await;
        assert_eq!(
            answer.json(),
            json!({ "email": [EMAIL], "password": [NOT_A_STRING] }),
            "{number}"
        );
    }
    for (number, kind) in [
        ("1e400", "float"),
        ("-0.0", "float"),
        (&*digits, "int"),
        ("-1", "int"),
    ] {
        let expected = format!("Invalid data. Expected a dictionary, but got {kind}.");
        world
            .send(post(REFRESH, number.to_owned()))
            .await
            .assert_refused(&expected);
    }
}

/// The service does not validate an unknown field. The field must only be well-formed JSON.
#[tokio::test]
async fn unknown_field_is_ignored_if_it_is_well_formed() {
    let world = World::new().await;
    world.add_documented().await;
    let deep = "[".repeat(500) + &"]".repeat(500);
    for harmless in [&*deep, r#""\ud800""#, r#"{"email":null}"#] {
        let body =
            format!(r#"{{"z":{harmless},"email":"jonhdoeqa@email.com","password":"1234ABCD"}}"#);
        world.send(post(OBTAIN, body)).await.token();
    }
    for malformed in [
        "NaN", "01", "1.", "'x'", "\"\t\"", r#""\x""#, "[1,]", "{\"a\"}", "", "nul",
    ] {
        let body =
            format!(r#"{{"z":{malformed},"email":"jonhdoeqa@email.com","password":"1234ABCD"}}"#);
        let answer = world.send(post(OBTAIN, body)).await;
        let detail = answer.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(answer.status, 400, "{malformed}");
        assert!(
            detail.starts_with("JSON parse error - "),
            "{malformed}: {}",
            answer.text
        );
    }
}

/// The line and the column in an error refer to the body that the client sent.
#[tokio::test]
async fn json_errors_have_the_position_in_the_whole_body() {
    let world = World::new().await;
    // `!` marks the byte after which the parser fails. It is not sent.
    for marked in [
        r#"{"password":"x","email":"\ud800"!}"#,
        r#"{"email":"a@example.com","password":"\ud800\u0041!"}"#,
        r#"{"password":"é€😀","email":"\ud800"!}"#,
        "{\n  \"password\": \"x\",\n  \"email\":\n\t\"\\ud800\"!\n}",
        "{\r\n\"email\":\"a@example.com\",\r\n\"password\":\"\\udc00!\"}",
        r#"{"email":["a",{"b":"\ud800"!}],"password":"x"}"#,
        "{\"email\":[\n1,\n\"\\ud800\"!],\"password\":\"x\"}",
        r#"{"email":"\ud800","email":"\ud800"!,"password":"x"}"#,
        "\n \"\\ud800\"!",
        "  [\"\\ud800\"!]",
        // The fault is not in the value of a field.
        r#"{"email":"\ud800","password":"x",}!"#,
    ] {
        let (before, after) = marked.split_once('!').unwrap();
        let line = before.split('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let answer = world.send(post(OBTAIN, format!("{before}{after}"))).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        let place = format!(" at line {line} column {column}");
        assert!(detail.ends_with(&place), "{marked}: {detail}");
        assert_eq!(answer.status, 400, "{marked}");
    }
}

#[tokio::test]
async fn last_of_duplicate_keys_is_used() {
    let world = World::new().await;
    world.add_documented().await;
    let body =
        r#"{"email":"x","password":null,"email":"jonhdoeqa@email.com","p\u0061ssword":"1234ABCD"}"#;
    world.send(post(OBTAIN, body)).await.token();
    let body = r#"{"email":"jonhdoeqa@email.com","password":"1234ABCD","password":null}"#;
    let answer = world.send(post(OBTAIN, body)).await;
    assert_eq!(
        answer.json(),
        json!({ "password": ["This field may not be null."] })
    );
}

#[tokio::test]
async fn response_has_all_errors_of_all_fields() {
    let world = World::new().await;
    for (body, expected) in [
        (
            json!({ "email": "a\0", "password": "\0" }),
            json!({
                "email": ["Null characters are not allowed.", EMAIL],
                "password": ["Null characters are not allowed."],
            }),
        ),
        (
            json!({ "email": " \u{1c}", "password": "\u{85}" }),
            json!({
                "email": ["This field may not be blank."],
                "password": ["This field may not be blank."],
            }),
        ),
        (
            json!({ "email": "\u{feff}", "password": null }),
            json!({
                "email": [EMAIL],
                "password": ["This field may not be null."],
            }),
        ),
        (
            json!({ "password": {} }),
            json!({
                "email": ["This field is required."],
                "password": [NOT_A_STRING],
            }),
        ),
    ] {
        let answer = world.post(OBTAIN, &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (400, expected),
            "{body}"
        );
    }
}
