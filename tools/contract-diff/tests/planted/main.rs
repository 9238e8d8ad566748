//! Each test changes a copy of the released document, and checks that the report of `contract-diff` lists the change.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

const OBTAIN: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post";
const BODY: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/requestBody/content";
const STATUSES: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses";
const UNAVAILABLE: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses/503/headers";
const ISSUED: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses/200/content";

const REQUEST: &str = "/components/schemas/ObtainRequest/properties";
const REQUEST_REQUIRED: &str = "/components/schemas/ObtainRequest/required";
const PASSWORD: &str = "/components/schemas/ObtainRequest/properties/password";
const RESPONSE: &str = "/components/schemas/Token/properties";
const RESPONSE_REQUIRED: &str = "/components/schemas/Token/required";
const TOKEN: &str = "/components/schemas/Token/properties/token";
const TYPES: &str = "/components/schemas/Token/properties/type/enum";

mod markdown;

/// The exit code and the output of the command.
struct Outcome {
    code: Option<i32>,
    text: String,
    error: String,
}

impl Outcome {
    /// Returns the changes under a title, without their reasons.
    fn under(&self, title: &str) -> Vec<&str> {
        let section = self.text.lines().skip_while(|line| *line != title).skip(2);
        section
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.strip_prefix("- "))
            .collect()
    }

    #[track_caller]
    fn breaks(&self, changes: &[&str]) {
        assert_eq!(self.under("Breaking"), changes, "{}", self.text);
        assert!(self.text.starts_with("Breaking\n"), "{}", self.text);
        assert_eq!(self.code, Some(1), "{}", self.text);
    }

    #[track_caller]
    fn passes(&self, title: &str, changes: &[&str]) {
        assert_eq!(self.under(title), changes, "{}", self.text);
        assert!(self.text.starts_with(title), "{}", self.text);
        assert_eq!(self.code, Some(0), "{}", self.text);
    }
}

fn run(args: &[&Path]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_contract-diff"))
        .args(args)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code(),
        text: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Returns the released document with the version 1.4.0, so that the tests do not depend on the release.
fn released() -> Value {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../../openapi/released/openapi.json")).unwrap();
    set(&mut document, "/info", "version", json!("1.4.0"));
    document
}

/// Compares two documents. Every comparison also checks that the comment in Markdown has the same changes.
fn compare(released: &Value, current: &Value) -> Outcome {
    let outcome = print("text", released, current);
    markdown::assert_same(&print("markdown", released, current), &outcome);
    outcome
}

/// Compares two documents, and prints the report in a format.
fn print(format: &str, released: &Value, current: &Value) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let files = [("released", released), ("current", current)].map(|(name, document)| {
        let path = folder.path().join(name);
        fs::write(&path, document.to_string()).unwrap();
        path
    });
    run(&["--format".as_ref(), format.as_ref(), &files[0], &files[1]])
}

/// Applies `prepare` to the released document, and compares the result before and after `change`.
fn between(prepare: impl FnOnce(&mut Value), change: impl FnOnce(&mut Value)) -> Outcome {
    let (released, current) = documents(prepare, change);
    let outcome = compare(&released, &current);
    assert_eq!(outcome.error, "");
    outcome
}

/// Returns the released document after `prepare`, and the current document, which is this document after `change`.
fn documents(prepare: impl FnOnce(&mut Value), change: impl FnOnce(&mut Value)) -> (Value, Value) {
    let mut released = released();
    prepare(&mut released);
    let mut current = released.clone();
    change(&mut current);
    (released, current)
}

fn after(change: impl FnOnce(&mut Value)) -> Outcome {
    between(|_| {}, change)
}

/// Returns the value at a pointer. Panics if the pointer does not exist.
fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("the released document has no {pointer}"))
}

/// Sets a field of the object at a pointer.
fn set(document: &mut Value, pointer: &str, key: &str, value: Value) {
    at(document, pointer)[key] = value;
}

/// Removes a field of the object at a pointer, and returns its value.
fn take(document: &mut Value, pointer: &str, key: &str) -> Value {
    let object = at(document, pointer).as_object_mut().unwrap();
    object.remove(key).unwrap()
}

fn remove(document: &mut Value, pointer: &str, key: &str) {
    take(document, pointer, key);
}

/// Appends a value to the array at a pointer.
fn list(document: &mut Value, pointer: &str, value: Value) {
    at(document, pointer).as_array_mut().unwrap().push(value);
}

/// Removes a string from the array at a pointer.
fn unlist(document: &mut Value, pointer: &str, value: &str) {
    let list = at(document, pointer).as_array_mut().unwrap();
    let place = list.iter().position(|it| it == value).unwrap();
    list.remove(place);
}

/// Returns the `parameters` of an operation with one header.
fn header(required: bool, max_length: u8) -> Value {
    json!([{
        "name": "X-Client",
        "in": "header",
        "required": required,
        "schema": {"type": "string", "maxLength": max_length},
    }])
}

mod breaking {
    use super::*;

    #[test]
    fn request_field_was_added_as_required() {
        after(|it| {
            set(it, REQUEST, "code", json!({"type": "string"}));
            list(it, REQUEST_REQUIRED, json!("code"));
        })
        .breaks(&["ObtainRequest.code: the field was added, and is required"]);
    }

    #[test]
    fn request_field_became_required() {
        between(
            |it| unlist(it, REQUEST_REQUIRED, "email"),
            |it| list(it, REQUEST_REQUIRED, json!("email")),
        )
        .breaks(&["ObtainRequest.email: the field is required now"]);
    }

    #[test]
    fn max_length_was_reduced() {
        between(
            |it| set(it, PASSWORD, "maxLength", json!(128)),
            |it| set(it, PASSWORD, "maxLength", json!(64)),
        )
        .breaks(&["ObtainRequest.password: maxLength is 64 (was 128)"]);
    }

    #[test]
    fn max_length_was_added() {
        between(
            |it| set(it, REQUEST, "password", json!({"type": "string"})),
            |it| set(it, PASSWORD, "maxLength", json!(64)),
        )
        .breaks(&["ObtainRequest.password: maxLength is 64 (was absent)"]);
    }

    #[test]
    fn request_pattern_changed() {
        between(
            |it| set(it, PASSWORD, "pattern", json!("^.+$")),
            |it| set(it, PASSWORD, "pattern", json!("^.*$")),
        )
        .breaks(&["ObtainRequest.password: pattern is \"^.*$\" (was \"^.+$\")"]);
    }

    #[test]
    fn type_changed() {
        after(|it| set(it, TOKEN, "type", json!("integer")))
            .breaks(&["Token.token: type is \"integer\" (was \"string\")"]);
    }

    #[test]
    fn response_field_became_optional() {
        after(|it| unlist(it, RESPONSE_REQUIRED, "token"))
            .breaks(&["Token.token: the field is no longer required"]);
    }

    #[test]
    fn response_field_was_removed() {
        after(|it| {
            remove(it, RESPONSE, "expires_in");
            unlist(it, RESPONSE_REQUIRED, "expires_in");
        })
        .breaks(&["Token.expires_in: the field was removed"]);
    }

    /// In a schema, `description` is documentation. In `properties`, `description` is the name of a field.
    #[test]
    fn response_field_named_description_was_removed() {
        between(
            |it| set(it, RESPONSE, "description", json!({"type": "string"})),
            |it| remove(it, RESPONSE, "description"),
        )
        .breaks(&["Token.description: the field was removed"]);
    }

    #[test]
    fn response_enum_got_a_value() {
        after(|it| list(it, TYPES, json!("PAT")))
            .breaks(&["Token.type: enum is [\"JWT\",\"PAT\"] (was [\"JWT\"])"]);
    }

    #[test]
    fn response_field_became_nullable() {
        after(|it| set(it, TOKEN, "nullable", json!(true)))
            .breaks(&["Token.token: nullable is true (was absent)"]);
    }

    #[test]
    fn response_without_additional_properties_got_a_field() {
        between(
            |it| {
                let token = "/components/schemas/Token";
                set(it, token, "additionalProperties", json!(false));
            },
            |it| set(it, RESPONSE, "scope", json!({"type": "string"})),
        )
        .breaks(&["Token.scope: the field was added"]);
    }

    #[test]
    fn schema_was_renamed() {
        after(|it| {
            let schema = take(it, "/components/schemas", "ObtainRequest");
            set(it, "/components/schemas", "Credentials", schema);
            let media = format!("{BODY}/application~1json/schema");
            set(
                it,
                &media,
                "$ref",
                json!("#/components/schemas/Credentials"),
            );
        })
        .breaks(&[
            "ObtainRequest: the schema was removed",
            "POST /v1/auth/jwt/obtain/ requestBody content application/json schema: $ref is \
             \"#/components/schemas/Credentials\" (was \"#/components/schemas/ObtainRequest\")",
        ]);
    }

    #[test]
    fn path_was_renamed() {
        after(|it| {
            let item = take(it, "/paths", "/v1/auth/jwt/obtain/");
            set(it, "/paths", "/v1/auth/jwt/login/", item);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/: The operation obtainToken was removed"]);
    }

    #[test]
    fn operation_id_was_renamed() {
        after(|it| set(it, OBTAIN, "operationId", json!("login")))
            .breaks(&["POST /v1/auth/jwt/obtain/: operationId is \"login\" (was \"obtainToken\")"]);
    }

    #[test]
    fn status_was_removed() {
        after(|it| remove(it, STATUSES, "408"))
            .breaks(&["POST /v1/auth/jwt/obtain/: operation no longer responds with status 408"]);
    }

    #[test]
    fn status_was_added() {
        after(|it| {
            let response = at(it, STATUSES)["503"].clone();
            set(it, STATUSES, "504", response);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/: operation added a new response code 504"]);
    }

    #[test]
    fn required_request_header_was_added() {
        after(|it| set(it, OBTAIN, "parameters", header(true, 64)))
            .breaks(&["POST /v1/auth/jwt/obtain/: A new, required parameter 'X-Client' was added"]);
    }

    #[test]
    fn parameter_limit_was_reduced() {
        between(
            |it| set(it, OBTAIN, "parameters", header(false, 64)),
            |it| set(it, OBTAIN, "parameters", header(false, 32)),
        )
        .breaks(&["POST /v1/auth/jwt/obtain/ parameters 0 schema: maxLength is 32 (was 64)"]);
    }

    /// drift treats both names as the same parameter.
    #[test]
    fn path_parameter_was_renamed() {
        let item = |name: &str| {
            json!({"get": {
                "operationId": "showToken",
                "parameters": [{"name": name, "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"204": {"description": "It is there."}},
            }})
        };
        between(
            |it| set(it, "/paths", "/v1/tokens/{id}/", item("id")),
            |it| {
                remove(it, "/paths", "/v1/tokens/{id}/");
                set(it, "/paths", "/v1/tokens/{token}/", item("token"));
            },
        )
        .breaks(&["GET /v1/tokens/{id}/: the parameter id of the path has another name"]);
    }

    #[test]
    fn request_body_was_removed() {
        after(|it| remove(it, OBTAIN, "requestBody"))
            .breaks(&["POST /v1/auth/jwt/obtain/: a required body parameter was removed"]);
    }

    #[test]
    fn request_media_type_changed() {
        after(|it| {
            let media = take(it, BODY, "application/json");
            set(it, BODY, "application/cbor", media);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/ requestBody content: application/json was removed"]);
    }

    #[test]
    fn response_media_type_changed() {
        after(|it| {
            let media = take(it, ISSUED, "application/json");
            set(it, ISSUED, "application/cbor", media);
        })
        .breaks(&[
            "POST /v1/auth/jwt/obtain/ responses 200 content: application/cbor was added",
            "POST /v1/auth/jwt/obtain/ responses 200 content: application/json was removed",
        ]);
    }

    #[test]
    fn response_schema_was_removed() {
        after(|it| remove(it, &format!("{ISSUED}/application~1json"), "schema")).breaks(&[
            "POST /v1/auth/jwt/obtain/ responses 200 content application/json: schema is absent \
             (was {\"$ref\":\"#/components/schemas/Token\"})",
        ]);
    }

    #[test]
    fn response_header_was_removed() {
        after(|it| remove(it, UNAVAILABLE, "Retry-After"))
            .breaks(&["POST /v1/auth/jwt/obtain/ responses 503 headers: Retry-After was removed"]);
    }

    #[test]
    fn response_header_changed() {
        after(|it| {
            let header = format!("{UNAVAILABLE}/Retry-After");
            set(it, &header, "required", json!(false));
            set(it, &header, "schema", json!({"type": "string", "format": "uint32"}));
        })
        .breaks(&[
            "POST /v1/auth/jwt/obtain/ responses 503 headers Retry-After: required is false (was true)",
            "POST /v1/auth/jwt/obtain/ responses 503 headers Retry-After schema: \
             type is \"string\" (was \"integer\")",
        ]);
    }

    #[test]
    fn security_requirement_was_added() {
        after(|it| set(it, "", "security", json!([{"bearer": []}])))
            .breaks(&["the document: security is [{\"bearer\":[]}] (was [])"]);
    }

    /// `oneOf` accepts a value that matches exactly one branch. If one branch accepts fewer values, the schema can accept more values.
    #[test]
    fn branch_of_one_of_changed() {
        let one_of = |max_length: u8| {
            let short = json!({"type": "string", "maxLength": max_length});
            json!({"oneOf": [short, {"type": "string", "format": "uri"}]})
        };
        between(
            |it| set(it, RESPONSE, "token", one_of(64)),
            |it| set(it, RESPONSE, "token", one_of(32)),
        )
        .breaks(&["Token.token/oneOf/0: maxLength is 32 (was 64)"]);
    }

    #[test]
    fn server_url_changed_to_another_host() {
        after(|it| set(it, "/servers/0", "url", json!("//v1")))
            .breaks(&["servers: url is \"//v1\" (was \"/\")"]);
    }

    #[test]
    fn keyword_without_a_rule_changed() {
        after(|it| set(it, TOKEN, "x-unheard-of", json!(1)))
            .breaks(&["Token.token: x-unheard-of is 1 (was absent)"]);
    }
}

mod compatible {
    use super::*;

    #[test]
    fn optional_request_field_was_added() {
        after(|it| set(it, REQUEST, "code", json!({"type": "string"}))).passes(
            "Additive",
            &["ObtainRequest.code: the field was added, and is optional"],
        );
    }

    #[test]
    fn optional_response_field_was_added() {
        after(|it| set(it, RESPONSE, "scope", json!({"type": "string"}))).passes(
            "Additive",
            &["Token.scope: the field was added, and is optional"],
        );
    }

    #[test]
    fn required_response_field_was_added() {
        after(|it| {
            set(it, RESPONSE, "scope", json!({"type": "string"}));
            list(it, RESPONSE_REQUIRED, json!("scope"));
        })
        .passes(
            "Additive",
            &["Token.scope: the field was added, and is required"],
        );
    }

    #[test]
    fn field_of_an_inline_request_schema_was_added() {
        let inline = format!("{BODY}/application~1json/schema");
        between(
            |it| {
                let schema = at(it, "/components/schemas/ObtainRequest").clone();
                *at(it, &inline) = schema;
            },
            |it| set(it, &format!("{inline}/properties"), "code", json!({"type": "string"})),
        )
        .passes(
            "Additive",
            &[
                "POST /v1/auth/jwt/obtain/ requestBody content application/json schema properties code: \
                 the field was added, and is optional",
            ],
        );
    }

    #[test]
    fn operation_was_added() {
        after(|it| {
            let mut item = at(it, "/paths/~1v1~1auth~1jwt~1obtain~1").clone();
            item["post"]["operationId"] = json!("verifyToken");
            set(it, "/paths", "/v1/auth/jwt/verify/", item);
        })
        .passes(
            "Additive",
            &["POST /v1/auth/jwt/verify/: The operation verifyToken was added"],
        );
    }

    #[test]
    fn optional_request_header_was_added() {
        after(|it| set(it, OBTAIN, "parameters", header(false, 64))).passes(
            "Additive",
            &["POST /v1/auth/jwt/obtain/: A new, optional parameter 'X-Client' was added"],
        );
    }

    #[test]
    fn parameter_accepts_more() {
        between(
            |it| set(it, OBTAIN, "parameters", header(true, 32)),
            |it| set(it, OBTAIN, "parameters", header(false, 64)),
        )
        .passes(
            "Additive",
            &[
                "POST /v1/auth/jwt/obtain/ parameters 0: \
                 The parameter 'X-Client' was required and is now optional",
                "POST /v1/auth/jwt/obtain/ parameters 0 schema: maxLength is 64 (was 32)",
            ],
        );
    }

    #[test]
    fn request_media_type_was_added() {
        after(|it| {
            let media = at(it, BODY)["application/json"].clone();
            set(it, BODY, "application/cbor", media);
        })
        .passes(
            "Additive",
            &["POST /v1/auth/jwt/obtain/ requestBody content: application/cbor was added"],
        );
    }

    #[test]
    fn response_header_was_added() {
        after(|it| {
            let header = json!({"schema": {"type": "string"}});
            set(it, UNAVAILABLE, "X-Reason", header);
        })
        .passes(
            "Additive",
            &["POST /v1/auth/jwt/obtain/ responses 503 headers: X-Reason was added"],
        );
    }

    #[test]
    fn min_length_was_removed() {
        between(
            |it| set(it, PASSWORD, "minLength", json!(1)),
            |it| remove(it, PASSWORD, "minLength"),
        )
        .passes(
            "Additive",
            &["ObtainRequest.password: minLength is absent (was 1)"],
        );
    }

    #[test]
    fn texts_changed() {
        after(|it| {
            set(it, OBTAIN, "description", json!("Logs in."));
            set(it, OBTAIN, "summary", json!("Log in"));
            set(it, TOKEN, "title", json!("The token"));
            set(it, "/info", "description", json!("Tokens."));
            set(it, "", "externalDocs", json!({"url": "/claims.json"}));
        })
        .passes(
            "Documentation",
            &[
                "the document: externalDocs changed",
                "Token.token: title changed",
                "info: description changed",
                "POST /v1/auth/jwt/obtain/: description changed",
                "POST /v1/auth/jwt/obtain/: summary changed",
            ],
        );
    }

    #[test]
    fn description_next_to_a_reference_was_added() {
        let schema = format!("{BODY}/application~1json/schema");
        after(|it| set(it, &schema, "description", json!("Who you are."))).passes(
            "Documentation",
            &[
                "POST /v1/auth/jwt/obtain/ requestBody content application/json schema: \
                 description changed",
            ],
        );
    }

    #[test]
    fn server_url_changed_but_not_its_host() {
        after(|it| set(it, "/servers/0", "url", json!("")))
            .passes("Documentation", &["servers: url is \"\" (was \"/\")"]);
    }

    #[test]
    fn example_was_added() {
        after(|it| {
            let examples = format!("{ISSUED}/application~1json/examples");
            set(it, &examples, "another", json!({"value": {"token": "abc"}}));
        })
        .passes(
            "Documentation",
            &["POST /v1/auth/jwt/obtain/ responses 200 content application/json: examples changed"],
        );
    }

    #[test]
    fn order_of_required_fields_changed() {
        after(|it| {
            unlist(it, REQUEST_REQUIRED, "email");
            list(it, REQUEST_REQUIRED, json!("email"));
        })
        .passes(
            "Documentation",
            &["ObtainRequest: required is [\"password\",\"email\"] (was [\"email\",\"password\"])"],
        );
    }
}

#[test]
fn identical_documents_have_no_changes() {
    let outcome = after(|_| {});
    assert_eq!(outcome.text, "no change since 1.4.0\n");
    assert_eq!(outcome.code, Some(0));
}

/// A new major version may have breaking changes, and the report lists them. A new minor version may not.
#[test]
fn breaking_change_needs_a_new_major_version() {
    for (version, code, end) in [
        (
            "1.5.0",
            1,
            "Clients of 1.4.0 may fail, but 1.5.0 has the same major version. Increase the major version.\n",
        ),
        (
            "2.0.0",
            0,
            "Clients of 1.4.0 may fail. The new major version of 2.0.0 announces this.\n",
        ),
    ] {
        let outcome = after(|it| {
            set(it, "/info", "version", json!(version));
            set(it, OBTAIN, "operationId", json!("login"));
        });
        assert_eq!(outcome.under("Breaking").len(), 1);
        assert_eq!(outcome.under("Documentation"), ["info: version changed"]);
        assert_eq!(outcome.code, Some(code));
        assert!(outcome.text.ends_with(end), "{}", outcome.text);
    }
}

#[test]
fn report_has_a_reason_for_each_change() {
    let outcome = after(|it| {
        set(it, OBTAIN, "summary", json!("Log in"));
        set(it, REQUEST, "code", json!({"type": "string"}));
        list(it, TYPES, json!("PAT"));
    });
    assert_eq!(
        outcome.text,
        r#"Breaking

- Token.type: enum is ["JWT","PAT"] (was ["JWT"])
  A client may get a response that it does not expect.

Additive

- ObtainRequest.code: the field was added, and is optional
  A client that ignores the new part works as before.

Documentation

- POST /v1/auth/jwt/obtain/: summary changed
  Only people read this text.

Clients of 1.4.0 may fail, but 1.4.0 has the same major version. Increase the major version.
"#
    );
}

/// The exit code is 2, because 0 and 1 are verdicts on the changes.
#[test]
fn documents_that_cannot_be_compared_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let [good, bad] = ["good.json", "bad.json"].map(|it| folder.path().join(it));
    fs::write(&good, released().to_string()).unwrap();
    let refuse = |files: &[&Path], error: &str| {
        let outcome = run(files);
        assert_eq!(outcome.code, Some(2));
        assert_eq!(outcome.text, "");
        let said = outcome.error.replace(bad.to_str().unwrap(), "FILE");
        assert_eq!(said, format!("contract-diff: {error}\n"));
    };

    let usage = "usage: contract-diff [--format text|markdown] RELEASED CURRENT";
    refuse(&[&good], usage);
    refuse(&["--format".as_ref(), "html".as_ref(), &good, &good], usage);
    let missing = "cannot read FILE: No such file or directory (os error 2)";
    refuse(&[&good, &bad], missing);
    refuse(&[&bad, &good], missing);

    let mut older = released();
    set(&mut older, "/info", "version", json!("0.9.0"));
    let mut unversioned = released();
    set(&mut unversioned, "/info", "version", json!("one"));
    for (text, error) in [
        (
            "openapi: 3.0.3",
            "FILE is not JSON: expected value at line 1 column 1",
        ),
        (
            "{}",
            "drift cannot compare the documents: error deserializing new OpenAPI document: \
             missing field `openapi`",
        ),
        (
            &older.to_string(),
            "the current version 0.9.0 is lower than the released version 1.4.0",
        ),
        (
            &unversioned.to_string(),
            "the version of the current document, \"one\", has no major version: \
             invalid digit found in string",
        ),
    ] {
        fs::write(&bad, text).unwrap();
        refuse(&[&good, &bad], error);
    }
}

/// drift panics if an inline body becomes a reference. The command must catch the panic, and must not succeed.
#[test]
fn panic_of_drift_is_not_a_verdict() {
    let mut moved = released();
    let body = moved
        .pointer(&format!("{OBTAIN}/requestBody"))
        .unwrap()
        .clone();
    set(
        &mut moved,
        "/components",
        "requestBodies",
        json!({ "Login": body }),
    );
    let reference = json!({ "$ref": "#/components/requestBodies/Login" });
    set(&mut moved, OBTAIN, "requestBody", reference);
    let outcome = print("text", &released(), &moved);
    assert_ne!(outcome.code, Some(0), "{}", outcome.text);
    assert_ne!(outcome.code, Some(101), "{}", outcome.error);
}

/// The reason of a removal must not be the reason of an addition.
#[test]
fn removal_has_the_reason_of_a_removal() {
    let outcome = after(|it| {
        remove(it, "/paths", "/v1/auth/jwt/obtain/");
    });
    assert!(
        !outcome.text.contains("does not know of it"),
        "{}",
        outcome.text
    );
    assert_eq!(outcome.code, Some(1), "{}", outcome.text);
}
