//! The workflows of clients, as an [Arazzo](https://spec.openapis.org/arazzo/v1.0.1.html) description.

use std::iter;

use serde_json::{Map, Value, json};

use super::{Body, OVERSIZED, Request, TOKEN};
use crate::api::{Document, OperationDocs, examples::Exchange, json::MEDIA_TYPE};

/// The file of the document, next to the description.
const SOURCE: &str = "openapi.json";
/// The number of retries after a 429 or 503.
const RETRIES: u32 = 3;

impl Document {
    /// Returns the workflows: a login with all operations on its token, and each rejection.
    ///
    /// # Panics
    /// Never: every JSON value is a YAML value.
    #[must_use]
    pub fn to_arazzo(&self) -> String {
        let info = &self.value()["info"];
        let rejections = self.docs().iter().flat_map(|docs| {
            let rejections = docs.examples.iter();
            let rejections = rejections.filter(|exchange| !exchange.status.is_success());
            rejections.map(|exchange| self.rejection(docs, exchange))
        });
        let description = json!({
            "arazzo": "1.0.1",
            "info": {
                "title": info["title"],
                "description": info["description"],
                "version": info["version"],
            },
            "sourceDescriptions": [{ "name": "signet", "url": SOURCE, "type": "openapi" }],
            "workflows": iter::once(self.login()).chain(rejections).collect::<Vec<_>>(),
            "components": { "failureActions": self.retries() },
        });
        serde_yaml::to_string(&description).expect("a JSON value is YAML")
    }

    /// Returns the workflow that sends the valid request of each operation. Each step has the token of the step before.
    fn login(&self) -> Value {
        let first = self.docs().first().expect("the document has operations");
        let mut steps = Vec::new();
        for docs in self.docs() {
            let mut step = step(docs, docs.success());
            step["stepId"] = docs.id.into();
            step["description"] = self.operation(docs).1["summary"].clone();
            if let Some(previous) = steps.last() {
                let token = output_of(previous);
                step["requestBody"]["payload"][TOKEN] = token.into();
            }
            steps.push(step);
        }
        let token = steps.last().map(output_of);
        let summaries = self
            .docs()
            .iter()
            .map(|docs| &self.operation(docs).1["summary"]);
        let summaries: Vec<_> = summaries.filter_map(Value::as_str).collect();
        let retries = self.retries().into_iter();
        let retries = retries.map(|(name, _)| format!("$components.failureActions.{name}"));
        json!({
            "workflowId": "login",
            "summary": summaries.join(", "),
            "inputs": self.inputs(first, first.success()),
            "steps": steps,
            "failureActions": retries.map(|it| json!({ "reference": it })).collect::<Vec<_>>(),
            "outputs": { TOKEN: token },
        })
    }

    fn rejection(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        json!({
            "workflowId": format!("{}-{}", docs.id, exchange.name),
            "summary": exchange.summary,
            "inputs": self.inputs(docs, exchange),
            "steps": [step(docs, exchange)],
        })
    }

    /// Returns the schema of the inputs that the request of an exchange needs.
    fn inputs(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        let mut properties = Map::new();
        match docs.request(exchange, input).body {
            Body::Json(body) => {
                let schemas = self.fields(docs);
                let fields = body.as_object().into_iter().flatten();
                for (name, _) in fields.filter(|(name, value)| **value == input(name)) {
                    let description = &schemas[name]["description"];
                    let schema = json!({ "type": "string", "description": description });
                    properties.insert(name.clone(), schema);
                }
            }
            Body::Text(text) if text == input(OVERSIZED) => {
                let schema = json!({ "type": "string", "description": exchange.summary });
                properties.insert(OVERSIZED.to_owned(), schema);
            }
            Body::Text(_) => {}
        }
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": required })
    }

    /// Returns the retries by the name of the example. The header `Retry-After` overrides `retryAfter`, which is the time of the example.
    fn retries(&self) -> Map<String, Value> {
        let examples = self.docs().iter().flat_map(|docs| &docs.examples);
        let retries = examples.filter_map(|exchange| {
            let retry = json!({
                "name": exchange.name,
                "type": "retry",
                "retryAfter": exchange.retry_after?,
                "retryLimit": RETRIES,
                "criteria": [has_status(exchange)],
            });
            Some((exchange.name.to_owned(), retry))
        });
        retries.collect()
    }
}

/// Returns the token of a step.
fn output_of(step: &Value) -> String {
    let id = step["stepId"].as_str().unwrap_or_default();
    format!("$steps.{id}.outputs.{TOKEN}")
}

fn input(name: &str) -> String {
    format!("$inputs.{name}")
}

/// Returns the step that sends the request of an exchange, and compares the response.
fn step(docs: &OperationDocs, exchange: &Exchange) -> Value {
    let Request { media_type, body } = docs.request(exchange, input);
    let payload = match body {
        Body::Json(value) => value,
        Body::Text(text) => text.into(),
    };
    let mut criteria = vec![
        has_status(exchange),
        json!({ "condition": format!("$response.header.Content-Type == '{MEDIA_TYPE}'") }),
    ];
    criteria.extend(conditions(exchange).into_iter().map(|condition| {
        json!({ "context": "$response.body", "condition": format!("$[?{condition}]"), "type": "jsonpath" })
    }));
    if exchange.retry_after.is_some() {
        let header = json!({ "context": "$response.header.Retry-After", "condition": "^[0-9]+$", "type": "regex" });
        criteria.push(header);
    }
    let mut step = json!({
        "stepId": exchange.name,
        "description": exchange.summary,
        "operationId": docs.id,
        "requestBody": { "contentType": media_type, "payload": payload },
        "successCriteria": criteria,
    });
    if exchange.status.is_success() {
        step["outputs"] = json!({ TOKEN: format!("$response.body#/{TOKEN}") });
    }
    step
}

fn has_status(exchange: &Exchange) -> Value {
    json!({ "condition": format!("$statusCode == {}", exchange.status.as_str()) })
}

/// Returns filters of `JSONPath` (RFC 9535) that only the documented body passes. Each success has another token, and at most the
/// documented seconds. The seconds in a message about `Retry-After` are any number.
///
/// Respect 2.77 ignores the third operand of `&&`, and compares no element by its index. Therefore each filter has one comparison.
fn conditions(exchange: &Exchange) -> Vec<String> {
    let fields = exchange.response.as_object();
    let fields = fields.expect("every response is an object");
    let seconds = exchange.retry_after.map(|seconds| seconds.to_string());
    let mut conditions = vec![format!("length(@) == {}", fields.len())];
    for (name, value) in fields {
        match (value, &seconds) {
            (Value::String(_), _) if exchange.status.is_success() && name == TOKEN => {
                conditions.push(format!("length(@.{name}) > 0"));
            }
            (Value::Number(most), _) if exchange.status.is_success() => {
                conditions.push(format!("@.{name} > 0"));
                conditions.push(format!("@.{name} <= {most}"));
            }
            (Value::String(text), Some(seconds)) if text.contains(seconds) => {
                let pattern = text.replace('.', "[.]").replace(seconds, "[0-9]+");
                conditions.push(format!("match(@.{name}, {})", json!(pattern)));
            }
            (Value::Array(messages), _) => {
                conditions.push(format!("length(@.{name}) == {}", messages.len()));
                let messages = messages.iter();
                conditions.extend(messages.map(|message| format!("@.{name}[?@ == {message}]")));
            }
            _ => conditions.push(format!("@.{name} == {value}")),
        }
    }
    conditions
}
