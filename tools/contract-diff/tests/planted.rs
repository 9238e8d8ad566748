//! The command against planted changes: each is made to the released document itself, and the report must
//! name it.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

const OBTAIN: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post";
const BODY: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/requestBody/content";
const STATUSES: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses";
const UNAVAILABLE: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses/503/headers";
const ISSUED: &str = "/paths/~1v1~1auth~1jwt~1obtain~1/post/responses/200/content";

const ASKED: &str = "/components/schemas/ObtainRequest/properties";
const ASKED_REQUIRED: &str = "/components/schemas/ObtainRequest/required";
const PASSWORD: &str = "/components/schemas/ObtainRequest/properties/password";
const ANSWERED: &str = "/components/schemas/Token/properties";
const ANSWERED_REQUIRED: &str = "/components/schemas/Token/required";
const TOKEN: &str = "/components/schemas/Token/properties/token";
const TYPES: &str = "/components/schemas/Token/properties/type/enum";

/// What the command said.
struct Told {
    code: Option<i32>,
    text: String,
    error: String,
}

impl Told {
    /// The changes under a title, without their reasons.
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

fn run(files: &[&Path]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_contract-diff"))
        .args(files)
        .output()
        .unwrap();
    Told {
        code: output.status.code(),
        text: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The released document. Whichever release it is, here it is 1.4.0.
fn released() -> Value {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../openapi/released/openapi.json")).unwrap();
    set(&mut document, "/info", "version", json!("1.4.0"));
    document
}

fn compare(released: &Value, current: &Value) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let files = [("released", released), ("current", current)].map(|(name, document)| {
        let path = folder.path().join(name);
        fs::write(&path, document.to_string()).unwrap();
        path
    });
    run(&[&files[0], &files[1]])
}

/// Compares the released document, prepared, with what `change` makes of it.
fn between(prepare: impl FnOnce(&mut Value), change: impl FnOnce(&mut Value)) -> Told {
    let mut released = released();
    prepare(&mut released);
    let mut current = released.clone();
    change(&mut current);
    let told = compare(&released, &current);
    assert_eq!(told.error, "");
    told
}

fn after(change: impl FnOnce(&mut Value)) -> Told {
    between(|_| {}, change)
}

/// What lies at a pointer, which must be there.
fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("the released document has no {pointer}"))
}

/// Sets a field of what lies at a pointer.
fn set(document: &mut Value, pointer: &str, key: &str, value: Value) {
    at(document, pointer)[key] = value;
}

/// Takes a field from what lies at a pointer.
fn take(document: &mut Value, pointer: &str, key: &str) -> Value {
    let object = at(document, pointer).as_object_mut().unwrap();
    object.remove(key).unwrap()
}

fn strike(document: &mut Value, pointer: &str, key: &str) {
    take(document, pointer, key);
}

/// Adds to the list at a pointer.
fn list(document: &mut Value, pointer: &str, value: Value) {
    at(document, pointer).as_array_mut().unwrap().push(value);
}

/// Takes from the list at a pointer.
fn unlist(document: &mut Value, pointer: &str, value: &str) {
    let list = at(document, pointer).as_array_mut().unwrap();
    let place = list.iter().position(|it| it == value).unwrap();
    list.remove(place);
}

/// The parameters of an operation that takes one header.
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
    fn a_required_field_of_a_request_was_added() {
        after(|it| {
            set(it, ASKED, "code", json!({"type": "string"}));
            list(it, ASKED_REQUIRED, json!("code"));
        })
        .breaks(&["ObtainRequest.code: the field was added, and is required"]);
    }

    #[test]
    fn a_field_of_a_request_is_required_now() {
        between(
            |it| unlist(it, ASKED_REQUIRED, "email"),
            |it| list(it, ASKED_REQUIRED, json!("email")),
        )
        .breaks(&["ObtainRequest.email: the field is required now"]);
    }

    #[test]
    fn max_length_was_tightened() {
        between(
            |it| set(it, PASSWORD, "maxLength", json!(128)),
            |it| set(it, PASSWORD, "maxLength", json!(64)),
        )
        .breaks(&["ObtainRequest.password: maxLength is 64 (was 128)"]);
    }

    #[test]
    fn max_length_was_added() {
        between(
            |it| set(it, ASKED, "password", json!({"type": "string"})),
            |it| set(it, PASSWORD, "maxLength", json!(64)),
        )
        .breaks(&["ObtainRequest.password: maxLength is 64 (was absent)"]);
    }

    #[test]
    fn a_pattern_of_a_request_changed() {
        between(
            |it| set(it, PASSWORD, "pattern", json!("^.+$")),
            |it| set(it, PASSWORD, "pattern", json!("^.*$")),
        )
        .breaks(&["ObtainRequest.password: pattern is \"^.*$\" (was \"^.+$\")"]);
    }

    #[test]
    fn a_type_changed() {
        after(|it| set(it, TOKEN, "type", json!("integer")))
            .breaks(&["Token.token: type is \"integer\" (was \"string\")"]);
    }

    #[test]
    fn a_field_of_an_answer_is_no_longer_required() {
        after(|it| unlist(it, ANSWERED_REQUIRED, "token"))
            .breaks(&["Token.token: the field is no longer required"]);
    }

    #[test]
    fn a_field_of_an_answer_was_removed() {
        after(|it| {
            strike(it, ANSWERED, "expires_in");
            unlist(it, ANSWERED_REQUIRED, "expires_in");
        })
        .breaks(&["Token.expires_in: the field was removed"]);
    }

    /// What is prose elsewhere is the name of a field here.
    #[test]
    fn a_field_that_is_called_description_was_removed() {
        between(
            |it| set(it, ANSWERED, "description", json!({"type": "string"})),
            |it| strike(it, ANSWERED, "description"),
        )
        .breaks(&["Token.description: the field was removed"]);
    }

    #[test]
    fn an_enum_of_an_answer_grew() {
        after(|it| list(it, TYPES, json!("PAT")))
            .breaks(&["Token.type: enum is [\"JWT\",\"PAT\"] (was [\"JWT\"])"]);
    }

    #[test]
    fn a_field_of_an_answer_may_be_null() {
        after(|it| set(it, TOKEN, "nullable", json!(true)))
            .breaks(&["Token.token: nullable is true (was absent)"]);
    }

    #[test]
    fn an_answer_that_allowed_no_other_field_has_one_more() {
        between(
            |it| {
                let token = "/components/schemas/Token";
                set(it, token, "additionalProperties", json!(false));
            },
            |it| set(it, ANSWERED, "scope", json!({"type": "string"})),
        )
        .breaks(&["Token.scope: the field was added"]);
    }

    #[test]
    fn a_schema_was_renamed() {
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
    fn a_path_was_renamed() {
        after(|it| {
            let item = take(it, "/paths", "/v1/auth/jwt/obtain/");
            set(it, "/paths", "/v1/auth/jwt/login/", item);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/: The operation obtainToken was removed"]);
    }

    #[test]
    fn an_operation_id_was_renamed() {
        after(|it| set(it, OBTAIN, "operationId", json!("login")))
            .breaks(&["POST /v1/auth/jwt/obtain/: operationId is \"login\" (was \"obtainToken\")"]);
    }

    #[test]
    fn a_status_was_removed() {
        after(|it| strike(it, STATUSES, "408"))
            .breaks(&["POST /v1/auth/jwt/obtain/: operation no longer responds with status 408"]);
    }

    #[test]
    fn a_status_was_added() {
        after(|it| {
            let response = at(it, STATUSES)["503"].clone();
            set(it, STATUSES, "504", response);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/: operation added a new response code 504"]);
    }

    #[test]
    fn a_header_must_be_sent() {
        after(|it| set(it, OBTAIN, "parameters", header(true, 64)))
            .breaks(&["POST /v1/auth/jwt/obtain/: A new, required parameter 'X-Client' was added"]);
    }

    #[test]
    fn a_parameter_was_tightened() {
        between(
            |it| set(it, OBTAIN, "parameters", header(false, 64)),
            |it| set(it, OBTAIN, "parameters", header(false, 32)),
        )
        .breaks(&["POST /v1/auth/jwt/obtain/ parameters 0 schema: maxLength is 32 (was 64)"]);
    }

    /// To drift, it is the same parameter.
    #[test]
    fn a_parameter_of_a_path_was_renamed() {
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
                strike(it, "/paths", "/v1/tokens/{id}/");
                set(it, "/paths", "/v1/tokens/{token}/", item("token"));
            },
        )
        .breaks(&["GET /v1/tokens/{id}/: the parameter id of the path has another name"]);
    }

    #[test]
    fn a_body_is_no_longer_described() {
        after(|it| strike(it, OBTAIN, "requestBody"))
            .breaks(&["POST /v1/auth/jwt/obtain/: a required body parameter was removed"]);
    }

    #[test]
    fn a_media_type_of_a_request_changed() {
        after(|it| {
            let media = take(it, BODY, "application/json");
            set(it, BODY, "application/cbor", media);
        })
        .breaks(&["POST /v1/auth/jwt/obtain/ requestBody content: application/json was removed"]);
    }

    #[test]
    fn a_media_type_of_an_answer_changed() {
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
    fn an_answer_is_no_longer_described() {
        after(|it| strike(it, &format!("{ISSUED}/application~1json"), "schema")).breaks(&[
            "POST /v1/auth/jwt/obtain/ responses 200 content application/json: schema is absent \
             (was {\"$ref\":\"#/components/schemas/Token\"})",
        ]);
    }

    #[test]
    fn a_header_of_an_answer_was_removed() {
        after(|it| strike(it, UNAVAILABLE, "Retry-After"))
            .breaks(&["POST /v1/auth/jwt/obtain/ responses 503 headers: Retry-After was removed"]);
    }

    #[test]
    fn a_header_of_an_answer_changed() {
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
    fn credentials_are_demanded() {
        after(|it| set(it, "", "security", json!([{"bearer": []}])))
            .breaks(&["the document: security is [{\"bearer\":[]}] (was [])"]);
    }

    /// A value fewer in one branch may be a value more for the whole, which is good for one branch alone.
    #[test]
    fn a_branch_of_one_of_changed() {
        let one_of = |max_length: u8| {
            let short = json!({"type": "string", "maxLength": max_length});
            json!({"oneOf": [short, {"type": "string", "format": "uri"}]})
        };
        between(
            |it| set(it, ANSWERED, "token", one_of(64)),
            |it| set(it, ANSWERED, "token", one_of(32)),
        )
        .breaks(&["Token.token/oneOf/0: maxLength is 32 (was 64)"]);
    }

    #[test]
    fn server_url_names_another_host() {
        after(|it| set(it, "/servers/0", "url", json!("//v1")))
            .breaks(&["servers: url is \"//v1\" (was \"/\")"]);
    }

    #[test]
    fn something_changed_that_has_no_rule() {
        after(|it| set(it, TOKEN, "x-unheard-of", json!(1)))
            .breaks(&["Token.token: x-unheard-of is 1 (was absent)"]);
    }
}

mod bearable {
    use super::*;

    #[test]
    fn a_field_that_may_be_sent() {
        after(|it| set(it, ASKED, "code", json!({"type": "string"}))).passes(
            "Additive",
            &["ObtainRequest.code: the field was added, and is optional"],
        );
    }

    #[test]
    fn an_optional_field_of_an_answer() {
        after(|it| set(it, ANSWERED, "scope", json!({"type": "string"}))).passes(
            "Additive",
            &["Token.scope: the field was added, and is optional"],
        );
    }

    #[test]
    fn a_field_that_every_answer_has() {
        after(|it| {
            set(it, ANSWERED, "scope", json!({"type": "string"}));
            list(it, ANSWERED_REQUIRED, json!("scope"));
        })
        .passes(
            "Additive",
            &["Token.scope: the field was added, and is required"],
        );
    }

    #[test]
    fn a_field_of_a_body_that_is_described_in_place() {
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
    fn an_operation() {
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
    fn a_header_that_may_be_sent() {
        after(|it| set(it, OBTAIN, "parameters", header(false, 64))).passes(
            "Additive",
            &["POST /v1/auth/jwt/obtain/: A new, optional parameter 'X-Client' was added"],
        );
    }

    #[test]
    fn a_parameter_that_was_loosened() {
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
    fn a_media_type_that_may_be_sent() {
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
    fn a_header_of_an_answer() {
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
    fn a_bound_that_was_lifted() {
        between(
            |it| set(it, PASSWORD, "minLength", json!(1)),
            |it| strike(it, PASSWORD, "minLength"),
        )
        .passes(
            "Additive",
            &["ObtainRequest.password: minLength is absent (was 1)"],
        );
    }

    #[test]
    fn other_words() {
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
    fn words_beside_a_reference() {
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
    fn server_url_still_names_the_document_host() {
        after(|it| set(it, "/servers/0", "url", json!("")))
            .passes("Documentation", &["servers: url is \"\" (was \"/\")"]);
    }

    #[test]
    fn an_example() {
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
    fn another_order() {
        after(|it| {
            unlist(it, ASKED_REQUIRED, "email");
            list(it, ASKED_REQUIRED, json!("email"));
        })
        .passes(
            "Documentation",
            &["ObtainRequest: required is [\"password\",\"email\"] (was [\"email\",\"password\"])"],
        );
    }
}

#[test]
fn nothing_changed() {
    let told = after(|_| {});
    assert_eq!(told.text, "no change since 1.4.0\n");
    assert_eq!(told.code, Some(0));
}

/// A break is told all the same, and passes where the major version rises; a minor one does not carry it.
#[test]
fn a_major_version_may_break() {
    for (version, code, end) in [
        (
            "1.5.0",
            1,
            "Clients of 1.4.0 break: the major version must rise, and 1.5.0 does not raise it.\n",
        ),
        (
            "2.0.0",
            0,
            "Clients of 1.4.0 break, as the major version of 2.0.0 says.\n",
        ),
    ] {
        let told = after(|it| {
            set(it, "/info", "version", json!(version));
            set(it, OBTAIN, "operationId", json!("login"));
        });
        assert_eq!(told.under("Breaking").len(), 1);
        assert_eq!(told.under("Documentation"), ["info: version changed"]);
        assert_eq!(told.code, Some(code));
        assert!(told.text.ends_with(end), "{}", told.text);
    }
}

#[test]
fn the_report_gives_its_reasons() {
    let told = after(|it| {
        set(it, OBTAIN, "summary", json!("Log in"));
        set(it, ASKED, "code", json!({"type": "string"}));
        list(it, TYPES, json!("PAT"));
    });
    assert_eq!(
        told.text,
        r#"Breaking

- Token.type: enum is ["JWT","PAT"] (was ["JWT"])
  A client may get a response that it does not expect.

Additive

- ObtainRequest.code: the field was added, and is optional
  A client that ignores the new part works as before.

Documentation

- POST /v1/auth/jwt/obtain/: summary changed
  Only people read this text.

Clients of 1.4.0 break: the major version must rise, and 1.4.0 does not raise it.
"#
    );
}

/// What cannot be compared ends with 2, so that nobody takes it for a verdict.
#[test]
fn what_cannot_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    let [good, bad] = ["good.json", "bad.json"].map(|it| folder.path().join(it));
    fs::write(&good, released().to_string()).unwrap();
    let refuse = |files: &[&Path], error: &str| {
        let told = run(files);
        assert_eq!(told.code, Some(2));
        assert_eq!(told.text, "");
        let said = told.error.replace(bad.to_str().unwrap(), "FILE");
        assert_eq!(said, format!("contract-diff: {error}\n"));
    };

    refuse(&[&good], "usage: contract-diff RELEASED CURRENT");
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
        (&older.to_string(), "the version falls from 1.4.0 to 0.9.0"),
        (
            &unversioned.to_string(),
            "the version of the current document, \"one\", names no major version: \
             invalid digit found in string",
        ),
    ] {
        fs::write(&bad, text).unwrap();
        refuse(&[&good, &bad], error);
    }
}

/// drift panics where a body is another one behind a name; that is no verdict either.
#[test]
fn what_drift_gives_up_on() {
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
    let told = compare(&released(), &moved);
    assert_ne!(told.code, Some(0), "{}", told.text);
    assert_ne!(told.code, Some(101), "{}", told.error);
}

/// What went away is told as gone, not as new.
#[test]
fn a_removal_gives_its_own_reason() {
    let told = after(|it| {
        strike(it, "/paths", "/v1/auth/jwt/obtain/");
    });
    assert!(!told.text.contains("does not know of it"), "{}", told.text);
    assert_eq!(told.code, Some(1), "{}", told.text);
}
