//! The documented exchanges in the formats of programs that send requests. Variables replace the documented credentials and token.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    body::BodyLimits,
    document::Document,
    examples::{Cause, Exchange},
    json::MEDIA_TYPE,
    operations::OperationDocs,
};
use crate::template;

/// The variable with the address of the service.
const BASE_URL: &str = "baseUrl";
/// The address of a demo.
const DEMO_URL: &str = "http://127.0.0.1:8000";
/// The variable with a body that is too large. The formats do not contain this body.
const OVERSIZED: &str = "oversized";

/// How a format writes the variable with this name.
type Variable = fn(&str) -> String;

impl Document {
    /// Returns the workflows of clients as an Arazzo description: a login with all operations on its token, and each rejection.
    #[must_use]
    pub fn to_arazzo(&self) -> String {
        let template = include_str!("requests/arazzo.yaml.jinja");
        yaml(&self.fill(template, |name| format!("$inputs.{name}")))
    }

    /// Returns the collection of Postman, with a folder for each operation.
    #[must_use]
    pub fn to_postman(&self) -> String {
        let template = include_str!("requests/postman.json.jinja");
        pretty(&self.fill_collection(template)) + "\n"
    }

    /// Returns the paths and the texts of the files of a collection of Bruno, with a folder for each operation.
    #[must_use]
    pub fn to_bruno(&self) -> Vec<(String, String)> {
        let files: Map<String, Value> =
            self.fill_collection(include_str!("requests/bruno.yaml.jinja"));
        let files = files.into_iter();
        files.map(|(path, file)| (path, yaml(&file))).collect()
    }

    fn fill_collection<T: DeserializeOwned>(&self, template: &str) -> T {
        let scripts = include_str!("requests/script.js.jinja");
        self.fill(&format!("{scripts}{template}"), |name| {
            format!("{{{{{name}}}}}")
        })
    }

    /// Fills a template. The templates are YAML, because YAML allows a comma after the last element.
    fn fill<T: DeserializeOwned>(&self, template: &str, variable: Variable) -> T {
        let operations = self.docs().iter();
        let operations = operations.map(|docs| self.operation(docs, variable));
        let values = json!({
            "info": self.value()["info"],
            "variables": self.variables(),
            "oversized_bytes": BodyLimits::default().max_bytes + 1,
            "operations": operations.collect::<Vec<_>>(),
        });
        let text = template::render(template, values);
        serde_yaml::from_str(&text).expect("the templates are YAML")
    }

    /// Returns the initial variables of a collection: the address, and the fields of the first request, which obtains the token.
    fn variables(&self) -> Map<String, Value> {
        let url = self.value()["servers"][0]["url"].as_str();
        let url = url.filter(|url| !url.is_empty()).unwrap_or(DEMO_URL);
        let mut variables = valid_request(&self.docs()[0]).clone();
        variables.shift_insert(0, BASE_URL.to_owned(), url.into());
        variables
    }

    fn operation(&self, docs: &OperationDocs, variable: Variable) -> Value {
        let methods = self.value()["paths"][&docs.path].as_object();
        let operation = methods.and_then(|methods| methods.iter().next());
        let (method, operation) = operation.expect("every path has an operation");
        let schema = &operation["requestBody"]["content"][MEDIA_TYPE]["schema"]["$ref"];
        let pointer = schema.as_str().and_then(|it| it.strip_prefix('#'));
        let schema = pointer.and_then(|pointer| self.value().pointer(pointer));
        let schema = schema.expect("every request has a schema");
        let mut fields = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        // The user sets the fields of the login, and a response sets the token. All other fields have the values of the example.
        let login = valid_request(&self.docs()[0]);
        fields.retain(|name, _| name == "token" || login.contains_key(name));
        let valid = valid_request(docs);
        let examples = docs.examples.iter();
        let examples: Vec<_> = examples
            .map(|exchange| example(exchange, valid, &fields, variable))
            .collect();
        json!({
            "id": docs.id,
            "method": method,
            "url": variable(BASE_URL) + &docs.path,
            "summary": operation["summary"],
            "description": operation["description"],
            "success": examples.iter().find(|example| example["succeeds"] == true),
            "examples": examples,
        })
    }
}

/// Returns the documented request that succeeds.
fn valid_request(docs: &OperationDocs) -> &Map<String, Value> {
    let mut examples = docs.examples.iter();
    let success = examples.find(|exchange| exchange.status.is_success());
    let request = success.and_then(|exchange| exchange.request.as_ref());
    let (_, body) = request.expect("every operation has an example that succeeds");
    body.as_object().expect("every request is an object")
}

/// Returns the request that causes the response of an exchange, and the response. If a state causes the response, the request is `valid`.
/// A variable replaces each valid value of `fields`.
fn example(
    exchange: &Exchange,
    valid: &Map<String, Value>,
    fields: &Map<String, Value>,
    variable: Variable,
) -> Value {
    let (cause, media_type, mut body) = match &exchange.cause {
        Cause::Json(body) => ("json", MEDIA_TYPE, body.clone()),
        Cause::State => ("state", MEDIA_TYPE, json!(valid)),
        Cause::Oversized => ("oversized", MEDIA_TYPE, variable(OVERSIZED).into()),
        Cause::Text { media_type, body } if *media_type == MEDIA_TYPE => {
            ("malformed", *media_type, json!(body))
        }
        Cause::Text { media_type, body } => ("text", *media_type, json!(body)),
    };
    let mut variables = Map::new();
    if exchange.cause == Cause::Oversized {
        variables.insert(OVERSIZED.to_owned(), exchange.summary.into());
    }
    for (name, value) in body.as_object_mut().into_iter().flatten() {
        if let Some(field) = fields.get(name)
            && valid.get(name) == Some(value)
        {
            *value = variable(name).into();
            variables.insert(name.clone(), field["description"].clone());
        }
    }
    json!({
        "name": exchange.name,
        "summary": exchange.summary,
        "cause": cause,
        "media_type": media_type,
        "text": body.as_str().map_or_else(|| pretty(&body), str::to_owned),
        "body": body,
        "variables": variables,
        "succeeds": exchange.status.is_success(),
        "status": exchange.status.as_u16(),
        "reason": exchange.status.canonical_reason(),
        "retry_after": exchange.retry_after.map(|seconds| seconds.to_string()),
        "response": exchange.response,
    })
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).expect("a JSON value is YAML")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value is JSON")
}
