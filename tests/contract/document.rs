//! The OpenAPI document: what is committed is what is emitted and served, and it is valid.

use serde_json::{Value, json};
use signet::api::Document;

use crate::world::{OBTAIN, REFRESH, World, post, request};

#[test]
fn the_committed_document_is_the_emitted_one() {
    let committed = include_str!("../../openapi/openapi.json");
    assert!(
        committed == Document::build().to_json(),
        "openapi/openapi.json is out of date: run `make openapi`, and read what changed"
    );
}

#[tokio::test]
async fn the_served_document_is_the_emitted_one() {
    let world = World::new().await;
    let document = Document::build();

    let json = world
        .send(request("GET", "/openapi.json", &[], "".into()))
        .await;
    assert_eq!(
        (json.status.as_u16(), json.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(json.text, document.to_json());

    let yaml = world
        .send(request("GET", "/openapi.yaml", &[], "".into()))
        .await;
    assert_eq!(
        (yaml.status.as_u16(), yaml.header("content-type")),
        (200, Some("application/yaml"))
    );
    let same: Value = serde_yaml::from_str(&yaml.text).unwrap();
    assert_eq!(&same, document.value());
}

/// Against the OpenAPI Initiative's own schema of 3.0 (Apache-2.0), and against itself.
#[test]
fn the_document_is_valid() {
    let schema: Value = serde_json::from_str(include_str!("openapi-3.0.schema.json")).unwrap();
    let document = Document::build();
    let validator = jsonschema::draft4::new(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(document.value())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // The schema does bite.
    let mut broken = document.value().clone();
    broken["paths"]["no slash"] = json!({});
    assert!(!validator.is_valid(&broken));

    for path in [OBTAIN, REFRESH] {
        let operation = &document.value()["paths"][path]["post"];
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
    assert_eq!(paths, [OBTAIN, REFRESH]);
    assert!(!document.to_json().contains("allOf"));
}

/// The answers' examples fit their schemas; the documented requests are what the contract shows.
#[test]
fn the_examples_fit() {
    let document = Document::build();
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
        ["examples"]["documented"]["value"];
    assert_eq!(documented(REFRESH)["token"], answer["token"]);
    assert_eq!(
        (&answer["type"], &answer["expires_in"]),
        (&json!("JWT"), &json!(3600))
    );

    for path in [OBTAIN, REFRESH] {
        for (status, response) in document["paths"][path]["post"]["responses"]
            .as_object()
            .unwrap()
        {
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

/// What the schema says is what the service does: nothing else states what a request must hold.
#[tokio::test]
async fn the_schema_is_the_validator() {
    let world = World::new().await;
    world.add_documented().await;
    let document = Document::build();
    for (name, bad) in [
        ("ObtainRequest", json!({ "email": "jonhdoeqa@email.com" })),
        (
            "ObtainRequest",
            json!({ "email": "jonhdoeqa@email.com", "password": "\u{3000}" }),
        ),
        (
            "ObtainRequest",
            json!({ "email": "jonhdoeqa@email.com", "password": "a\0b" }),
        ),
        ("ObtainRequest", json!({ "email": [], "password": 1 })),
        ("RefreshRequest", json!({ "token": null })),
        ("RefreshRequest", json!({ "token": "" })),
    ] {
        let schema = &document.value()["components"]["schemas"][name];
        assert!(
            !jsonschema::draft4::is_valid(schema, &bad),
            "{name} accepts {bad}"
        );
        let path = if name == "ObtainRequest" {
            OBTAIN
        } else {
            REFRESH
        };
        assert_eq!(world.post(path, &bad).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_pages_are_there_and_need_no_network() {
    let world = World::new().await;
    let get = async |path: &str| world.send(request("GET", path, &[], "".into())).await;

    for path in ["/", "/docs"] {
        let answer = get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, Some("docs/"))
        );
    }
    let page = get("/docs/").await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, Some("text/html"))
    );
    assert!(
        !page.text.contains("http://") && !page.text.contains("https://"),
        "{}",
        page.text
    );

    let start = get("/docs/swagger-initializer.js").await;
    assert!(
        start.text.contains(r#""url": "../openapi.json""#),
        "{}",
        start.text
    );
    assert!(
        start.text.contains(r#""validatorUrl": "none""#),
        "{}",
        start.text
    );

    for file in [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
    ] {
        assert!(page.text.contains(file));
        assert_eq!(get(&format!("/docs/{file}")).await.status, 200);
    }
    let missing = get("/docs/nope.js").await;
    assert_eq!(
        (missing.status.as_u16(), missing.json()),
        (404, json!({ "detail": "Not found." }))
    );

    let posted = world.send(post("/docs/", "{}")).await;
    assert_eq!(
        (posted.status.as_u16(), posted.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}
