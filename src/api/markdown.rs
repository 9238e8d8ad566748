//! Renders the OpenAPI document as a page for reviewers.

use minijinja::{
    Environment, Error, ErrorKind,
    syntax::SyntaxConfig,
    value::{Serde, Value as TemplateValue},
};
use serde_json::{Map, Value, json};

use super::{Document, claims_schema, json::MEDIA_TYPE};

const TEMPLATE: &str = include_str!("contract.md.jinja");

impl Document {
    /// Returns the contract in Markdown, with one chapter for each operation.
    ///
    /// # Panics
    /// If the page has no words for a part of the document, such as a required permission or a type of a field.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut context = self.value().clone();
        let operations = operations(self.value());
        for tag in context["tags"].as_array_mut().into_iter().flatten() {
            let is_tagged = |operation: &&Value| {
                let tags = operation["tags"].as_array();
                tags.is_some_and(|tags| tags.contains(&tag["name"]))
            };
            let tagged: Vec<_> = operations.iter().filter(is_tagged).collect();
            tag["prefix"] = common_prefix(&tagged).into();
            tag["operations"] = json!(tagged);
        }
        context["errors"] = all_errors(&operations).into();
        context["claims"] = serde_json::from_str(&claims_schema()).expect("a schema is JSON");
        let schemas = TemplateValue::from(Serde(&context["components"]["schemas"]));
        // Lines that contain only a tag are not part of the page.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build();
        let mut environment = Environment::new();
        environment.set_syntax(syntax.expect("the delimiters are the default"));
        environment.add_filter("resolve", move |schema: TemplateValue| {
            let reference = schema.get_attr("$ref")?.to_string();
            schemas.get_attr(reference.trim_start_matches("#/components/schemas/"))
        });
        environment.add_filter("type_name", type_name);
        environment.add_filter("codes", codes);
        environment.add_filter("cell", |text: &str| {
            text.replace('|', "\\|").replace('\n', " ")
        });
        environment.add_filter("json", |value: TemplateValue| {
            serde_json::to_string_pretty(&value).expect("a part of the document is JSON")
        });
        environment
            .render_str(TEMPLATE, TemplateValue::from(Serde(&context)))
            .expect("the template has words for the whole document")
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
            view["main_statuses"] = main_statuses(operation).into();
            view["headers"] = response_headers(operation).into();
            view["errors"] = errors(operation).into();
            view
        })
        .collect()
}

/// Returns the statuses that depend on the content of a request. The other statuses are the same for all operations.
fn main_statuses(operation: &Value) -> Vec<&str> {
    let statuses = entries(&operation["responses"]).map(|(status, _)| status);
    statuses
        .filter(|status| status.starts_with('2') || *status == "400")
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

/// Returns the longest path that contains all operations.
fn common_prefix(operations: &[&Value]) -> String {
    let paths = || operations.iter().filter_map(|it| it["path"].as_str());
    let mut prefix = paths().next().unwrap_or("/");
    loop {
        let parent = prefix.trim_end_matches('/').rfind('/').unwrap_or(0);
        prefix = &prefix[..=parent];
        if prefix == "/" || paths().all(|path| path.starts_with(prefix)) {
            return prefix.to_owned();
        }
    }
}

/// Returns the name of a field's type.
fn type_name(field: TemplateValue) -> Result<&'static str, Error> {
    let property = |name| {
        field
            .get_attr(name)
            .map(|it| it.as_str().unwrap_or_default().to_owned())
    };
    match (&*property("type")?, &*property("format")?) {
        (_, "email") => Ok("Email field"),
        ("integer", _) => Ok("Integer"),
        ("array", _) => Ok("List"),
        ("string", _) => Ok("String"),
        (other, _) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("the page has no words for the type {other}"),
        )),
    }
}

/// Lists statuses as code.
fn codes(statuses: TemplateValue) -> Result<String, Error> {
    let codes: Vec<_> = statuses
        .try_iter()?
        .map(|status| format!("`{status}`"))
        .collect();
    Ok(codes.join(", "))
}

fn media_type(message: &Value) -> &Value {
    &message["content"][MEDIA_TYPE]
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}
