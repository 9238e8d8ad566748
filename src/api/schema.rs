//! The published schema is the validator: what it refuses becomes the contract's messages.

use std::collections::{HashMap, HashSet};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use super::Document;
use crate::users::email;

/// What the contract says of a field.
pub(super) mod message {
    pub const REQUIRED: &str = "This field is required.";
    pub const NULL: &str = "This field may not be null.";
    pub const BLANK: &str = "This field may not be blank.";
    pub const NUL: &str = "Null characters are not allowed.";
    pub const NOT_A_STRING: &str = "Not a valid string.";
    pub const EMAIL: &str = "Enter a valid email address.";
}
use message::{BLANK, EMAIL, NOT_A_STRING, NUL, NULL, REQUIRED};

/// What the contract says of a body that is null.
const NO_DATA: &str = "No data provided";

/// The validators of every request body in a document, by the name of its schema.
#[derive(Debug)]
pub struct Schemas(HashMap<String, Schema>);

/// One request body's validator.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// The properties.
    fields: Vec<String>,
    /// Those whose format is `email`: they answer to a wrong type with their own message.
    emails: HashSet<String>,
}

/// What is wrong with a body: the messages by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(HashMap<String, Vec<String>>);

impl Schemas {
    /// Compiles the schemas of `document`.
    ///
    /// # Panics
    /// When a schema does not compile: the document is made from our own types.
    #[must_use]
    pub fn compile(document: &Document) -> Self {
        let components = &document.value()["components"];
        let compile = |name: &String| {
            let validator = jsonschema::options()
                // OpenAPI 3.0 describes its schemas in the terms of drafts 4 and 5.
                .with_draft(Draft::Draft4)
                .with_pattern_options(PatternOptions::regex())
                .with_format("email", |text: &str| email::is_valid(email::strip(text)))
                .should_validate_formats(true)
                .build(&json!({
                    "$ref": format!("#/components/schemas/{name}"),
                    "components": components,
                }))
                .expect("the document's own schemas compile");
            let schema = &components["schemas"][name];
            let fields = properties(schema).map(|(name, _)| name.clone()).collect();
            let emails = properties(schema)
                .filter(|(_, schema)| schema["format"] == "email")
                .map(|(name, _)| name.clone())
                .collect();
            let schema = Schema {
                validator,
                fields,
                emails,
            };
            (name.clone(), schema)
        };
        Self(
            components["schemas"]
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::keys)
                .map(compile)
                .collect(),
        )
    }

    /// The validator of the schema with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.0.get(name)
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

impl Schema {
    /// The fields that a body may have; all others are ignored.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Checks a body that parsed as JSON.
    ///
    /// # Errors
    /// With every message of every field, all at once.
    pub fn check(&self, body: &Value, raw: &str) -> Result<(), FieldErrors> {
        let mut found = HashMap::<String, Vec<&'static str>>::new();
        // Most are valid: to find that out costs less than to look for what is wrong.
        if !self.validator.is_valid(body) {
            for error in self.validator.iter_errors(body) {
                let Some((field, message)) = self.message(&error) else {
                    return Err(FieldErrors::of_the_body(not_an_object(body, raw)));
                };
                found.entry(field).or_default().push(message);
            }
        }
        // What the pattern cannot say in all languages: that other scripts have white space, too.
        for (field, value) in body.as_object().into_iter().flatten() {
            if value
                .as_str()
                .is_some_and(|text| email::strip(text).is_empty())
            {
                found.entry(field.clone()).or_default().push(BLANK);
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(FieldErrors(
            found
                .into_iter()
                .map(|(field, messages)| (field, told(&messages)))
                .collect(),
        ))
    }

    /// The field that an error is about, and what the contract says of it; none for the body itself.
    fn message(&self, error: &ValidationError<'_>) -> Option<(String, &'static str)> {
        if let ValidationErrorKind::Required { property } = error.kind() {
            return property.as_str().map(|field| (field.to_owned(), REQUIRED));
        }
        let field = error.instance_path().as_str().strip_prefix('/')?.to_owned();
        let message = match error.kind() {
            ValidationErrorKind::Type { .. } if error.instance().is_null() => NULL,
            ValidationErrorKind::Type { .. } if !self.emails.contains(&field) => NOT_A_STRING,
            ValidationErrorKind::Pattern { .. } if holds_nul(error.instance()) => NUL,
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::MinLength { .. } => BLANK,
            _ => EMAIL,
        };
        Some((field, message))
    }
}

/// What is told of one field: a blank one has no other fault, and every message stands once.
fn told(messages: &[&'static str]) -> Vec<String> {
    [BLANK, REQUIRED, NULL, NOT_A_STRING, NUL, EMAIL]
        .into_iter()
        .filter(|message| messages.contains(message))
        .filter(|message| *message == BLANK || !messages.contains(&BLANK))
        .map(str::to_owned)
        .collect()
}

fn holds_nul(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\0'))
}

/// Names the type of a body that is no object as Python, in which clients know it, would.
fn not_an_object(body: &Value, raw: &str) -> String {
    let name = match body {
        Value::Null => return NO_DATA.to_owned(),
        Value::Bool(_) => "bool",
        Value::Number(_) if raw.contains(['.', 'e', 'E']) => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    format!("Invalid data. Expected a dictionary, but got {name}.")
}

impl FieldErrors {
    fn of_the_body(message: String) -> Self {
        Self(HashMap::from([(
            "non_field_errors".to_owned(),
            vec![message],
        )]))
    }

    /// The messages of one field, if it has any.
    #[must_use]
    pub fn take(&mut self, field: &str) -> Option<Vec<String>> {
        self.0.remove(field)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::PATTERN, Document, Schemas, email};

    /// Nothing but the document states what a request must hold.
    #[test]
    fn what_the_schema_does_not_ask_for_is_not_asked_for() {
        let mut document = Document::build(None);
        let takes_nothing = |document: &Document| {
            let schemas = Schemas::compile(document);
            let schema = schemas.get("ObtainRequest").unwrap();
            schema.check(&serde_json::json!({}), "{}").is_ok()
        };
        assert!(!takes_nothing(&document));

        document.value_mut()["components"]["schemas"]["ObtainRequest"]
            .as_object_mut()
            .unwrap()
            .remove("required");
        assert!(takes_nothing(&document));
    }

    #[test]
    fn blank_is_white_space_and_nothing_else() {
        let document = Document::build(None);
        let schemas = Schemas::compile(&document);
        let schema = schemas.get("RefreshRequest").unwrap();
        for c in '\u{1}'..'\u{11000}' {
            let body = serde_json::json!({ "token": c.to_string() });
            assert_eq!(
                schema.check(&body, "").is_ok(),
                !email::is_white_space(c),
                "{c:?}"
            );
            let body = serde_json::json!({ "token": format!(" {c}x\u{3000}") });
            assert!(schema.check(&body, "").is_ok(), "{c:?}");
        }
        // The document is for engines and generators of all kinds.
        assert!(PATTERN.is_ascii());
    }
}
