//! The OpenAPI document: the committed, generated and served documents are equal and valid.

use std::{collections::BTreeMap, fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet::{
    api::{Document, Operations},
    auth::Lifetimes,
};

use crate::{
    binary::{Home, stdout},
    world::{
        LIFETIMES, OBTAIN, REFRESH, Setup, VERIFY, World, default_secrets, public_keys, request,
    },
};

#[test]
fn committed_documents_equal_the_generated_documents() {
    let document = Document::build(Operations::Contract, None, LIFETIMES);
    for (name, committed, emitted) in [
        (
            "openapi.json",
            include_str!("../../openapi/openapi.json"),
            document.to_json(),
        ),
        (
            "contract.md",
            include_str!("../../openapi/contract.md"),
            document.to_markdown(),
        ),
        (
            "claims.schema.json",
            include_str!("../../openapi/claims.schema.json"),
            document.to_claims_schema(),
        ),
        (
            "workflows.arazzo.yaml",
            include_str!("../../openapi/workflows.arazzo.yaml"),
            document.to_arazzo(),
        ),
        (
            "signet.postman_collection.json",
            include_str!("../../openapi/signet.postman_collection.json"),
            document.to_postman(),
        ),
    ] {
        assert!(
            committed == emitted,
            "openapi/{name} is out of date: run `make openapi`, and review the changes"
        );
    }
}

#[test]
fn committed_bruno_collection_equals_the_generated_collection() {
    let committed = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/bruno"));
    let document = Document::build(Operations::Contract, None, LIFETIMES);
    assert!(
        files_in(committed) == document.to_bruno().into_iter().collect(),
        "openapi/bruno is out of date: run `make openapi`, and review the changes"
    );
}

#[test]
fn openapi_command_prints_the_formats_of_tools() {
    let home = Home::new();
    let workflows = stdout(&home.run(&["openapi", "--format", "arazzo"]));
    assert_eq!(
        workflows,
        include_str!("../../openapi/workflows.arazzo.yaml")
    );
    let collection = stdout(&home.run(&["openapi", "--format", "postman"]));
    let committed = include_str!("../../openapi/signet.postman_collection.json");
    assert_eq!(collection, committed);
}

#[test]
fn openapi_command_writes_a_bruno_collection_into_a_folder() {
    let home = Home::new();
    let folder = home.path().join("new/bruno");
    let bruno = ["openapi", "--format", "bruno", "--output"];
    let output = home.command(&bruno).arg(&folder).output().unwrap();
    assert_eq!(stdout(&output), "");
    let document = Document::build(Operations::Contract, None, LIFETIMES);
    assert!(files_in(&folder) == document.to_bruno().into_iter().collect());

    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let output = home.command(&bruno).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot write "), "{error}");
}

#[test]
fn openapi_command_has_an_output_only_for_bruno() {
    let home = Home::new();
    for arguments in [&["--format", "bruno"][..], &["--output", "folder"]] {
        let output = home.command(&[&["openapi"], arguments].concat()).output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn formats_of_tools_contain_the_settings() {
    let home = Home::new();
    let print = |format: &str| {
        let mut command = home.command(&["openapi", "--format", format]);
        let command = command.env("SIGNET_VERIFY", "on");
        let command = command.env("SIGNET_PUBLIC_URL", "https://host/auth/");
        stdout(&command.output().unwrap())
    };
    let workflows = print("arazzo");
    assert!(workflows.contains("operationId: verifyToken"));
    assert!(workflows.contains("token: $steps.refreshToken.outputs.token"));
    let collection = print("postman");
    assert!(collection.contains("{{baseUrl}}/v1/auth/jwt/verify/"));
    assert!(collection.contains("\"value\": \"https://host/auth\""));
}

/// Returns the texts of all files in a folder by their path in the folder.
fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inner = files_in(&path).into_iter();
            files.extend(inner.map(|(inner, text)| (format!("{name}/{inner}"), text)));
        } else {
            files.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn served_documents_equal_the_generated_documents() {
    for operations in [Operations::Contract, Operations::WithVerify] {
        assert_served(operations).await;
    }
}

async fn assert_served(operations: Operations) {
    let world = World::of(Setup {
        operations,
        ..Setup::default()
    })
    .await;
    let keys = public_keys(&default_secrets());
    let document = Document::build(operations, None, LIFETIMES).with_keys(keys);
    let get = async |path: &str| {
        let answer = world.send(request("GET", path, &[], "".into())).await;
        assert_eq!(answer.status, 200, "{path}");
        (
            answer.header("content-type").unwrap().to_owned(),
            answer.text,
        )
    };
    let json = get("/openapi.json").await;
    assert_eq!(json, ("application/json".to_owned(), document.to_json()));
    let (media_type, yaml) = get("/openapi.yaml").await;
    assert_eq!(media_type, "application/yaml");
    assert_eq!(
        &serde_yaml::from_str::<Value>(&yaml).unwrap(),
        document.value()
    );

    // The document links to the schema of the claims.
    let claims = document.value()["externalDocs"]["url"].as_str().unwrap();
    assert_eq!(
        get(claims).await,
        (
            "application/schema+json".to_owned(),
            document.to_claims_schema()
        )
    );
}

#[test]
fn document_contains_the_public_url() {
    let document = Document::build(Operations::Contract, Some("https://host/auth"), LIFETIMES);
    assert_eq!(document.value()["servers"][0]["url"], "https://host/auth");
    let claims = "https://host/auth/openapi/claims.schema.json";
    assert_eq!(document.value()["externalDocs"]["url"], claims);
    assert_eq!(
        Document::build(Operations::Contract, None, LIFETIMES).value()["servers"][0]["url"],
        ""
    );
}

#[tokio::test]
async fn issued_token_matches_the_claims_schema() {
    for (issuer, count) in [(None, 5), (Some("https://auth.example.com"), 6)] {
        assert_token_matches_schema(issuer, count).await;
    }
}

async fn assert_token_matches_schema(issuer: Option<&'static str>, count: usize) {
    let world = World::of(Setup {
        issuer,
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let token = world.token().await;
    let payload = URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();

    let path = "/openapi/claims.schema.json";
    let schema = world.send(request("GET", path, &[], "".into())).await;
    let schema = schema.json();
    jsonschema::validate(&schema, &payload).unwrap();
    let claims = payload.as_object().unwrap().keys();
    let described = schema["properties"].as_object().unwrap().keys();
    assert!(
        claims.eq(described),
        "the claims differ from the schema, or have another order"
    );
    assert_eq!(schema["required"].as_array().unwrap().len(), count);
}

/// Checks each chapter and row of the documented contract.
#[test]
fn markdown_page_contains_the_documented_contract() {
    let chapters = [
        (
            "## Authentication - `/v1/auth/jwt/`",
            // The documented row contains the common prefix instead of the two URLs. No operation exists at the prefix.
            &[
                "| Anonymous | `/v1/auth/jwt/obtain/` | `POST` | `json` | `200`, `400` |",
                "| Anonymous | `/v1/auth/jwt/refresh/` | `POST` | `json` | `200`, `400` |",
            ][..],
        ),
        (
            "### OBTAIN",
            &[
                "**Permission required**: None",
                "| Content-Type | application/json |",
                "| `email` | Email field | Yes | User's email |",
                "| `password` | String | Yes | User's password |",
                "| `type` | String | `JWT` |",
                "| `token` | String | Token |",
                "| `expires_in` | Integer | Seconds remaining for the token to expire |",
                "**Event**: Anonymous `POST` to `/v1/auth/jwt/obtain/`  ",
                "Content-Type: application/json",
                "  \"email\": \"jonhdoeqa@email.com\",",
                "  \"password\": \"1234ABCD\"",
                "**HTTP Status Code**: `200`  ",
                "  \"type\": \"JWT\",",
                "  \"expires_in\": 3600",
                "**HTTP Status Code**: `400`  ",
                "| `email` | This field is required. | The payload must contain an email |",
                "| `password` | This field is required. | The payload must contain a password |",
            ],
        ),
        (
            "### REFRESH",
            &[
                "**Permission required**: None",
                "| Content-Type | application/json |",
                "| `token` | String | Yes | User's token |",
                "| `type` | String | `JWT` |",
                "| `token` | String | Token |",
                "| `expires_in` | Integer | Seconds remaining for the token to expire |",
                "**Event**: Anonymous `POST` to `/v1/auth/jwt/refresh/`  ",
                "**HTTP Status Code**: `200`  ",
                "**HTTP Status Code**: `400`  ",
                "| `non_field_errors` | Error decoding signature. | The token is invalid |",
                "| `non_field_errors` | Signature has expired. | The token has expired |",
            ],
        ),
        // The optional operation has a chapter of the same form.
        (
            "### VERIFY",
            &[
                "**Permission required**: None",
                "| `token` | String | Yes | User's token |",
                "| `expires_in` | Integer | Seconds remaining for the token to expire |",
                "**Event**: Anonymous `POST` to `/v1/auth/jwt/verify/`  ",
                "**HTTP Status Code**: `200`  ",
                "| `non_field_errors` | Error decoding signature. | The token is invalid |",
            ],
        ),
    ];
    let page = Document::build(Operations::WithVerify, None, LIFETIMES).to_markdown();
    let mut rest = &*page;
    for (heading, facts) in chapters {
        rest = &rest[rest
            .find(heading)
            .unwrap_or_else(|| panic!("{heading} is missing"))..];
        let end = rest[1..].find("\n### ").map_or(rest.len(), |end| end + 1);
        let lines: Vec<_> = rest[..end].lines().collect();
        for fact in facts {
            assert!(lines.contains(fact), "{heading} does not contain: {fact}");
        }
        rest = &rest[1..];
    }
}

/// Every page that states a lifetime follows the settings.
#[tokio::test]
async fn documents_state_the_lifetimes_of_the_settings() {
    let world = World::of(Setup {
        lifetimes: Lifetimes {
            expires_in: 300,
            refresh_window: 172_800,
        },
        ..Setup::default()
    })
    .await;
    for path in ["/openapi.json", "/openapi.yaml", "/contract/"] {
        let text = world.send(request("GET", path, &[], "".into())).await.text;
        assert!(
            text.contains("5 minutes") && text.contains("2 days"),
            "{path}"
        );
        for other in ["hour", "3600", "7 days", "1539741296", "MTUzOTc0MTI5Ni"] {
            assert!(!text.contains(other), "{path} states {other}");
        }
    }
    let document = world
        .send(request("GET", "/openapi.json", &[], "".into()))
        .await
        .json();
    for path in [OBTAIN, REFRESH] {
        let examples = &document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
            ["examples"];
        for example in examples.as_object().unwrap().values() {
            assert_eq!(example["value"]["expires_in"], 300);
            let claims = example["value"]["token"]
                .as_str()
                .unwrap()
                .split('.')
                .nth(1)
                .unwrap();
            let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            let lifetime = claims["exp"].as_i64().unwrap() - claims["orig_iat"].as_i64().unwrap();
            assert_eq!(lifetime, 300);
        }
    }
}

#[tokio::test]
async fn examples_with_a_long_lifetime_state_no_wrong_year() {
    let world = World::of(Setup {
        lifetimes: Lifetimes {
            expires_in: 366 * 86_400,
            refresh_window: 366 * 86_400,
        },
        ..Setup::default()
    })
    .await;
    let page = world.send(request("GET", "/openapi.json", &[], "".into()));
    let page = page.await.text;
    assert!(page.contains("issued in 2018"), "{page}");
    assert!(!page.contains("expired in 2018"), "{page}");
}

#[test]
fn openapi_command_states_the_lifetimes_of_the_settings() {
    let home = Home::on_sqlite();
    for format in ["json", "yaml", "markdown"] {
        let openapi = home
            .command(&["openapi", "--format", format])
            .env("SIGNET_JWT_EXPIRES_IN", "5m")
            .output();
        let text = stdout(&openapi.unwrap());
        assert!(
            text.contains("5 minutes") && text.contains("7 days"),
            "{text}"
        );
        assert!(!text.contains("hour") && !text.contains("3600"), "{text}");
    }
    let printed = stdout(&home.run(&["openapi"]));
    let committed = include_str!("../../openapi/openapi.json");
    assert!(
        printed == committed,
        "openapi/openapi.json is out of date: run `make openapi`"
    );
}

/// Validates the document with the OpenAPI Initiative's schema of OpenAPI 3.0 (Apache-2.0), and checks that each body is JSON with
/// examples.
#[test]
fn document_is_valid_openapi() {
    let schema: Value = serde_json::from_str(include_str!("openapi-3.0.schema.json")).unwrap();
    let document = Document::build(Operations::WithVerify, None, LIFETIMES);
    let validator = jsonschema::draft4::new(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(document.value())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // The schema rejects an invalid document.
    let mut broken = document.value().clone();
    broken["paths"]["no slash"] = json!({});
    assert!(!validator.is_valid(&broken));

    for path in document.value()["paths"].as_object().unwrap().values() {
        let operation = &path["post"];
        let mut bodies = vec![&operation["requestBody"]];
        bodies.extend(operation["responses"].as_object().unwrap().values());
        for body in bodies {
            let media_types = body["content"].as_object().unwrap();
            assert_eq!(media_types.keys().collect::<Vec<_>>(), ["application/json"]);
            let media_type = &media_types["application/json"];
            assert!(!media_type["examples"].as_object().unwrap().is_empty());
        }
    }
    let paths: Vec<_> = document.value()["paths"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(paths, [OBTAIN, REFRESH, VERIFY]);
    assert!(!document.to_json().contains("allOf"));
}

/// The examples of responses match their schemas. The documented requests are the requests of the contract.
#[test]
fn examples_match_their_schemas() {
    let document = Document::build(Operations::WithVerify, None, LIFETIMES);
    let document = document.value();
    let documented = |path: &str| {
        &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]["documented"]
            ["value"]
    };
    assert_eq!(
        *documented(OBTAIN),
        json!({ "email": "jonhdoeqa@email.com", "password": "1234ABCD" })
    );
    let answer = &document["paths"][REFRESH]["post"]["responses"]["200"]["content"]["application/json"]
        ["examples"]["refreshed"]["value"];
    assert_eq!(documented(REFRESH)["token"], answer["token"]);
    assert_eq!(
        (&answer["type"], &answer["expires_in"]),
        (&json!("JWT"), &json!(3600))
    );

    for (path, methods) in document["paths"].as_object().unwrap() {
        for (status, response) in methods["post"]["responses"].as_object().unwrap() {
            let media_type = &response["content"]["application/json"];
            let mut schema = media_type["schema"].clone();
            schema["components"] = document["components"].clone();
            for (name, example) in media_type["examples"].as_object().unwrap() {
                jsonschema::draft4::validate(&schema, &example["value"])
                    .unwrap_or_else(|error| panic!("{path} {status} {name}: {error}"));
            }
        }
    }
}

/// The service validates requests with the schema of the document. No second definition of a valid request exists.
#[tokio::test]
async fn schema_and_service_reject_the_same_requests() {
    let world = World::of(Setup {
        operations: Operations::WithVerify,
        ..Setup::default()
    })
    .await;
    world.add_documented().await;
    let document = Document::build(Operations::WithVerify, None, LIFETIMES);
    for (name, bad) in [
        ("ObtainRequest", json!({ "email": "jonhdoeqa@email.com" })),
        (
            "ObtainRequest",
            json!({ "email": "jonhdoeqa@email.com", "password": "\u{a0}" }),
        ),
        (
            "ObtainRequest",
            json!({ "email": "jonhdoeqa@email.com", "password": "a\0b" }),
        ),
        ("ObtainRequest", json!({ "email": [], "password": 1 })),
        ("RefreshRequest", json!({ "token": null })),
        ("RefreshRequest", json!({ "token": "" })),
        ("VerifyRequest", json!({ "token": null })),
        ("VerifyRequest", json!({ "token": "" })),
    ] {
        let schema = &document.value()["components"]["schemas"][name];
        assert!(
            !jsonschema::draft4::is_valid(schema, &bad),
            "{name} accepts {bad}"
        );
        let path = match name {
            "ObtainRequest" => OBTAIN,
            "RefreshRequest" => REFRESH,
            _ => VERIFY,
        };
        assert_eq!(world.post(path, &bad).await.status, 400, "{bad}");
    }
}
