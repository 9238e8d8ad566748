//! Validates request bodies with the published schema, and maps errors to the messages of the contract.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value, json};

use crate::accounts::email;

/// The messages of the contract for one field.
pub(super) mod message {
    pub const REQUIRED: &str = "This field is required.";
    pub const NULL: &str = "This field may not be null.";
    pub const BLANK: &str = "This field may not be blank.";
    pub const NUL: &str = "Null characters are not allowed.";
    pub const NOT_A_STRING: &str = "Not a valid string.";
    pub const EMAIL: &str = "Enter a valid email address.";
}
use message::{BLANK, EMAIL, NOT_A_STRING, NUL, NULL, REQUIRED};

/// The message of the contract for a body of `null`.
const NO_DATA: &str = "No data provided";

/// The validators of all request bodies by the name of the schema.
#[derive(Debug)]
pub struct Validators(HashMap<String, BodyValidator>);

/// The validator of one request body.
#[derive(Debug)]
pub struct BodyValidator {
    validator: Validator,
    fields: Vec<String>,
    /// The fields whose schema has the format `email`.
    emails: Vec<String>,
}

impl Validators {
    /// Compiles the schemas of an OpenAPI document.
    ///
    /// # Panics
    /// If a schema does not compile.
    #[must_use]
    pub fn compile(document: &Value) -> Self {
        let schemas = document["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten();
        let compile = |(name, schema)| (String::clone(name), BodyValidator::compile(schema));
        Self(schemas.map(compile).collect())
    }

    /// Returns the validator of the schema with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BodyValidator> {
        self.0.get(name)
    }
}

impl BodyValidator {
    fn compile(schema: &Value) -> Self {
        let properties = || schema["properties"].as_object().into_iter().flatten();
        let validator = jsonschema::options()
            // The schemas of OpenAPI 3.0 are based on drafts 4 and 5.
            .with_draft(Draft::Draft4)
            .with_pattern_options(PatternOptions::regex())
            .with_format("email", |text: &str| email::is_valid(email::strip(text)))
            .should_validate_formats(true)
            .build(schema)
            .expect("the document's own schemas compile");
        let emails = properties().filter(|(_, property)| property["format"] == "email");
        Self {
            validator,
            fields: properties().map(|(name, _)| name.clone()).collect(),
            emails: emails.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Returns the names of the fields. Other fields are ignored.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Validates a parsed body.
    ///
    /// # Errors
    /// All messages of all invalid fields.
    pub fn check(&self, body: &Value, raw: &str) -> Result<(), Value> {
        // The pattern of the schema covers only the white space of Latin-1.
        let is_blank = |field: &String| {
            let text = body.get(field).and_then(Value::as_str);
            text.is_some_and(|text| email::strip(text).is_empty())
        };
        if self.validator.is_valid(body) && !self.fields.iter().any(is_blank) {
            return Ok(());
        }
        if !body.is_object() {
            return Err(json!({ "non_field_errors": [not_an_object(body, raw)] }));
        }
        let errors: Vec<_> = self.validator.iter_errors(body).collect();
        let mut messages = Map::new();
        for field in &self.fields {
            let errors = errors.iter().filter(|error| is_error_of(error, field));
            let mut found: Vec<_> = errors.map(|error| self.message(field, error)).collect();
            if is_blank(field) || found.contains(&BLANK) {
                found = vec![BLANK];
            }
            // The contract has the form of an email last.
            found.sort_by_key(|message| *message == EMAIL);
            found.dedup();
            if !found.is_empty() {
                messages.insert(field.clone(), found.into());
            }
        }
        Err(messages.into())
    }

    fn message(&self, field: &String, error: &ValidationError<'_>) -> &'static str {
        let value = error.instance();
        match error.kind() {
            ValidationErrorKind::Required { .. } => REQUIRED,
            ValidationErrorKind::Type { .. } if value.is_null() => NULL,
            ValidationErrorKind::Type { .. } if !self.emails.contains(field) => NOT_A_STRING,
            ValidationErrorKind::Pattern { .. } if has_nul(value) => NUL,
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::MinLength { .. } => BLANK,
            _ => EMAIL,
        }
    }
}

fn is_error_of(error: &ValidationError<'_>, field: &str) -> bool {
    match error.kind() {
        ValidationErrorKind::Required { property } => property == field,
        _ => error.instance_path().as_str().strip_prefix('/') == Some(field),
    }
}

fn has_nul(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\0'))
}

/// Returns the message for a body that is not an object. The contract uses the names of Python's types.
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

#[cfg(test)]
mod tests {
    use super::{
        super::{Document, Operations, text::PATTERN},
        Validators, email,
    };
    use crate::auth::Lifetimes;

    const LIFETIMES: Lifetimes = Lifetimes {
        expires_in: 3600,
        refresh_window: 604_800,
    };

    #[test]
    fn schema_is_the_only_validator() {
        let mut document = Document::build(Operations::Contract, None, LIFETIMES);
        let accepts_empty_object = |document: &Document| {
            let schemas = Validators::compile(document.value());
            let schema = schemas.get("ObtainRequest").unwrap();
            schema.check(&serde_json::json!({}), "{}").is_ok()
        };
        assert!(!accepts_empty_object(&document));

        document.value_mut()["components"]["schemas"]["ObtainRequest"]
            .as_object_mut()
            .unwrap()
            .remove("required");
        assert!(accepts_empty_object(&document));
    }

    /// A failure of another keyword would have no message, or the message of another keyword.
    #[test]
    fn every_keyword_of_a_request_has_a_message() {
        let of_body = ["type", "title", "description", "required", "properties"];
        let of_field = ["type", "format", "description", "minLength", "pattern"];
        let document = Document::build(Operations::WithVerify, None, LIFETIMES);
        let schemas = document.value()["components"]["schemas"].as_object();
        let requests = schemas.into_iter().flatten();
        let requests: Vec<_> = requests
            .filter(|(name, _)| name.ends_with("Request"))
            .collect();
        let operations = document.docs().len();
        assert_eq!(requests.len(), operations, "name each type `*Request`");
        for (name, request) in requests {
            for keyword in request.as_object().unwrap().keys() {
                assert!(of_body.contains(&&**keyword), "{name}: {keyword}");
            }
            for (field, schema) in request["properties"].as_object().unwrap() {
                for keyword in schema.as_object().unwrap().keys() {
                    assert!(
                        of_field.contains(&&**keyword),
                        "{field}: add a message for `{keyword}` to `BodyValidator::message`, and then `{keyword}` to this list"
                    );
                }
            }
        }
    }

    #[test]
    fn blank_means_white_space_only() {
        let document = Document::build(Operations::Contract, None, LIFETIMES);
        let schemas = Validators::compile(document.value());
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
        assert!(PATTERN.is_ascii());
    }
}
