//! Renders the OpenAPI document as a page for reviewers.

use serde_json::{Map, Value, json};

use super::{document::Document, json::MEDIA_TYPE};
use crate::template;

impl Document {
    /// Returns the contract in Markdown, with one chapter for each operation.
    ///
    /// # Panics
    /// If the page has no words for a part of the document, such as a required permission or a type of a field.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let operations = operations(self.value());
        let mut values = self.value().clone();
        values["errors"] = all_errors(&operations).into();
        values["claims"] = self.claims();
        values["operations"] = operations.into();
        template::render(include_str!("contract.md.jinja"), values)
    }
}

/// Returns the operations, with the values that the template needs and the document has only indirectly.
fn operations(document: &Value) -> Vec<Value> {
    let paths = entries(&document["paths"]);
    let operations = paths.flat_map(|(path, methods)| {
        entries(methods).map(move |(method, operation)| (path, method, operation))
    });
    operations
        .map(|(path, method, operation)| {
            let security = operation.get("security").unwrap_or(&document["security"]);
            let is_open = security.as_array().is_none_or(Vec::is_empty);
            assert!(is_open, "the page has no words for a required permission");
            let name = path.trim_end_matches('/').rsplit('/').next();
            let mut view = operation.clone();
            view["path"] = path.into();
            view["method"] = method.to_uppercase().into();
            view["name"] = name.into();
            view["headers"] = response_headers(operation).into();
            view["errors"] = errors(operation).into();
            view
        })
        .collect()
}

/// Returns each header of the responses once, with its statuses.
fn response_headers(operation: &Value) -> Vec<Value> {
    let mut headers: Map<String, Value> = Map::new();
    for (status, response) in entries(&operation["responses"]) {
        for (name, header) in entries(&response["headers"]) {
            let new = json!({ "name": name, "description": header["description"], "statuses": [] });
            let header = headers.entry(name).or_insert(new);
            header["statuses"]
                .as_array_mut()
                .expect("statuses are a list")
                .push(status.into());
        }
    }
    headers.into_iter().map(|(_, header)| header).collect()
}

/// Returns each message of the examples of errors, with its status, field and summary.
fn errors(operation: &Value) -> Vec<Value> {
    let mut errors = Vec::new();
    for (status, response) in entries(&operation["responses"]) {
        let examples = entries(&media_type(response)["examples"]);
        for (_, example) in examples.filter(|_| !status.starts_with('2')) {
            for (field, messages) in entries(&example["value"]) {
                // `detail` is one message, and the other fields have lists.
                let messages = messages
                    .as_array()
                    .map_or(std::slice::from_ref(messages), |it| it);
                errors.extend(messages.iter().map(|message| {
                    json!({ "status": status, "field": field, "message": message, "summary": example["summary"] })
                }));
            }
        }
    }
    errors
}

/// Returns the errors of all operations by status. Each error is listed once, with the names of its operations.
fn all_errors(operations: &[Value]) -> Vec<Value> {
    let mut all: Vec<(&Value, Vec<&Value>)> = Vec::new();
    for operation in operations {
        for error in operation["errors"].as_array().into_iter().flatten() {
            match all.iter_mut().find(|(known, _)| *known == error) {
                Some((_, names)) => names.push(&operation["name"]),
                None => all.push((error, vec![&operation["name"]])),
            }
        }
    }
    all.sort_by_key(|(error, _)| error["status"].as_str());
    let with_names = |(error, names): (&Value, Vec<&Value>)| {
        let mut error = error.clone();
        error["operations"] = json!(names);
        error
    };
    all.into_iter().map(with_names).collect()
}

fn media_type(message: &Value) -> &Value {
    &message["content"][MEDIA_TYPE]
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}
