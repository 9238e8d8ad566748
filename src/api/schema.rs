//! Validates request bodies with the published schema, and maps failures to the messages of the contract.
//!
//! Each keyword of a field has its own validator, so that a failure names the keyword. Collecting the errors of jsonschema instead
//! took twice the time.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Value, json};

use super::Document;
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
    /// The schema without its fields.
    object: Validator,
    names: Vec<String>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    is_required: bool,
    /// A value of the wrong type gets the message for invalid emails.
    is_email: bool,
    keywords: Vec<(Keyword, Validator)>,
}

/// A keyword of a field. The order is the order of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keyword {
    Type,
    MinLength,
    Pattern,
    Other,
}

/// The messages of an invalid body by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(String, Vec<String>)>);

impl Validators {
    /// Compiles the schemas of `document`.
    ///
    /// # Panics
    /// If a schema does not compile, or has a keyword that may depend on other keywords, such as `additionalProperties`.
    #[must_use]
    pub fn compile(document: &Document) -> Self {
        let schemas = document.value()["components"]["schemas"]
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
        let validator = |schema: Value| {
            jsonschema::options()
                // The schemas of OpenAPI 3.0 are based on drafts 4 and 5.
                .with_draft(Draft::Draft4)
                .with_pattern_options(PatternOptions::regex())
                .with_format("email", |text: &str| email::is_valid(email::strip(text)))
                .should_validate_formats(true)
                .build(&schema)
                .expect("the document's own schemas compile")
        };
        let properties = || schema["properties"].as_object().into_iter().flatten();
        let is_required = |name: &str| {
            let required = schema["required"].as_array();
            required.is_some_and(|names| names.iter().any(|it| it == name))
        };
        let field = |(name, property): (&String, &Value)| {
            let keywords = property.as_object().into_iter().flatten();
            let mut keywords: Vec<_> = keywords
                .filter_map(|(name, value)| {
                    Some((Keyword::of(name)?, validator(json!({ name: value }))))
                })
                .collect();
            keywords.sort_by_key(|(keyword, _)| *keyword);
            Field {
                is_required: is_required(name),
                is_email: property["format"] == "email",
                keywords,
            }
        };
        let mut object = schema.clone();
        for of_the_fields in ["properties", "required"] {
            object.as_object_mut().map(|it| it.remove(of_the_fields));
        }
        // Panics if the meaning of a keyword, such as `additionalProperties`, depends on the removed fields.
        for (name, _) in object.as_object().into_iter().flatten() {
            let _ = Keyword::of(name);
        }
        Self {
            object: validator(object),
            names: properties().map(|(name, _)| name.clone()).collect(),
            fields: properties().map(field).collect(),
        }
    }

    /// Returns the names of the fields. Other fields are ignored.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.names
    }

    /// Validates a parsed body.
    ///
    /// # Errors
    /// All messages of all invalid fields.
    pub fn check(&self, body: &Value, raw: &str) -> Result<(), FieldErrors> {
        let Some(object) = body.as_object().filter(|_| self.object.is_valid(body)) else {
            return Err(FieldErrors::of_the_body(not_an_object(body, raw)));
        };
        let mut found = Vec::new();
        for (name, field) in self.names.iter().zip(&self.fields) {
            let messages = field.messages(object.get(name));
            if !messages.is_empty() {
                found.push((name.clone(), messages));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(FieldErrors(found))
    }
}

impl Field {
    /// Returns the messages of a value. A blank value has one message only.
    fn messages(&self, value: Option<&Value>) -> Vec<String> {
        let mut messages = Vec::new();
        let Some(value) = value else {
            messages.extend(self.is_required.then(|| REQUIRED.to_owned()));
            return messages;
        };
        // The pattern covers only the white space of Latin-1.
        let text = value.as_str();
        let mut is_blank = text.is_some_and(|text| email::strip(text).is_empty());
        for (keyword, validator) in &self.keywords {
            if is_blank {
                break;
            }
            if validator.is_valid(value) {
                continue;
            }
            let message = match keyword {
                Keyword::Type if value.is_null() => NULL,
                Keyword::Type if !self.is_email => NOT_A_STRING,
                Keyword::Pattern if text.is_some_and(|text| text.contains('\0')) => NUL,
                Keyword::Pattern | Keyword::MinLength => {
                    is_blank = true;
                    continue;
                }
                _ => EMAIL,
            };
            messages.push(message.to_owned());
        }
        if is_blank {
            return vec![BLANK.to_owned()];
        }
        messages.dedup();
        messages
    }
}

impl Keyword {
    fn of(name: &str) -> Option<Self> {
        match name {
            "type" => Some(Self::Type),
            "minLength" => Some(Self::MinLength),
            "pattern" => Some(Self::Pattern),
            // Annotations do not validate.
            "title" | "description" => None,
            "format" | "enum" | "items" => Some(Self::Other),
            // Some keywords depend on others, such as `exclusiveMinimum` in draft 4.
            unknown => panic!("a schema has `{unknown}`: does it depend on other keywords?"),
        }
    }
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

impl FieldErrors {
    fn of_the_body(message: String) -> Self {
        Self(vec![("non_field_errors".to_owned(), vec![message])])
    }

    /// Removes and returns the messages of one field.
    #[must_use]
    pub fn take(&mut self, field: &str) -> Option<Vec<String>> {
        let place = self.0.iter().position(|(name, _)| name == field)?;
        Some(self.0.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::PATTERN, Document, Validators, email};
    use crate::auth::Lifetimes;

    const LIFETIMES: Lifetimes = Lifetimes {
        expires_in: 3600,
        refresh_window: 604_800,
    };

    #[test]
    fn schema_is_the_only_validator() {
        let mut document = Document::build(None, LIFETIMES);
        let accepts_empty_object = |document: &Document| {
            let schemas = Validators::compile(document);
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

    #[test]
    #[should_panic(expected = "`exclusiveMinimum`")]
    fn dependent_keyword_of_a_field_is_rejected() {
        let mut document = Document::build(None, LIFETIMES);
        let schemas = &mut document.value_mut()["components"]["schemas"];
        schemas["ObtainRequest"]["properties"]["email"]["exclusiveMinimum"] = true.into();
        let _ = Validators::compile(&document);
    }

    #[test]
    #[should_panic(expected = "`additionalProperties`")]
    fn dependent_keyword_of_a_body_is_rejected() {
        let mut document = Document::build(None, LIFETIMES);
        let schemas = &mut document.value_mut()["components"]["schemas"];
        schemas["ObtainRequest"]["additionalProperties"] = false.into();
        let _ = Validators::compile(&document);
    }

    #[test]
    fn blank_means_white_space_only() {
        let document = Document::build(None, LIFETIMES);
        let schemas = Validators::compile(&document);
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
