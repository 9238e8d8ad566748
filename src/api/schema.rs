//! The published schema is the validator: what it refuses becomes the contract's messages.
//!
//! Each keyword of a field is asked by itself: to tell what is wrong with a body then costs little more than to tell that
//! nothing is. To collect jsonschema's own errors took twice as long, and the whole schema had to be asked before.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Value, json};

use super::Document;
use crate::accounts::email;

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
    /// All but what it says of the fields.
    object: Validator,
    names: Vec<String>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    is_required: bool,
    /// Such a field answers to a wrong type with its own message.
    is_email: bool,
    keywords: Vec<(Keyword, Validator)>,
}

/// What a field may fail, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keyword {
    Type,
    MinLength,
    Pattern,
    Other,
}

/// What is wrong with a body: the messages by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(String, Vec<String>)>);

impl Schemas {
    /// Compiles the schemas of `document`.
    ///
    /// # Panics
    /// When a schema does not compile, or has a keyword whose meaning may depend on those beside it, as that of
    /// `additionalProperties` does: the document is made from our own types.
    #[must_use]
    pub fn compile(document: &Document) -> Self {
        let schemas = document.value()["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten();
        let compile = |(name, schema)| (String::clone(name), Schema::compile(schema));
        Self(schemas.map(compile).collect())
    }

    /// The validator of the schema with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.0.get(name)
    }
}

impl Schema {
    fn compile(schema: &Value) -> Self {
        // They refer to no others, which each validator would hold a copy of.
        let validator = |schema: Value| {
            jsonschema::options()
                // OpenAPI 3.0 describes its schemas in the terms of drafts 4 and 5.
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
        // Such as `additionalProperties`, of which nobody would know what they are added to.
        for (name, _) in object.as_object().into_iter().flatten() {
            let _ = Keyword::of(name);
        }
        Self {
            object: validator(object),
            names: properties().map(|(name, _)| name.clone()).collect(),
            fields: properties().map(field).collect(),
        }
    }

    /// The fields that a body may have; all others are ignored.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.names
    }

    /// Checks a body that parsed as JSON.
    ///
    /// # Errors
    /// With every message of every field, all at once.
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
    /// What the contract says of this value, if there is one. A blank one has no other fault.
    fn messages(&self, value: Option<&Value>) -> Vec<String> {
        let mut messages = Vec::new();
        let Some(value) = value else {
            messages.extend(self.is_required.then(|| REQUIRED.to_owned()));
            return messages;
        };
        // What the pattern cannot say in all languages: that other scripts have white space, too.
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
            // For people: nothing fails it.
            "title" | "description" => None,
            "format" | "enum" | "items" => Some(Self::Other),
            // Some act in pairs, as `exclusiveMinimum` does, and would be wrong without a word.
            unknown => panic!("a schema has `{unknown}`: can it be asked by itself?"),
        }
    }
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
        Self(vec![("non_field_errors".to_owned(), vec![message])])
    }

    /// The messages of one field, if it has any.
    #[must_use]
    pub fn take(&mut self, field: &str) -> Option<Vec<String>> {
        let place = self.0.iter().position(|(name, _)| name == field)?;
        Some(self.0.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::PATTERN, Document, Schemas, email};
    use crate::auth::Lifetimes;

    const LIFETIMES: Lifetimes = Lifetimes {
        expires_in: 3600,
        refresh_window: 604_800,
    };

    /// Nothing but the document states what a request must hold.
    #[test]
    fn what_the_schema_does_not_ask_for_is_not_asked_for() {
        let mut document = Document::build(None, LIFETIMES);
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
    #[should_panic(expected = "`exclusiveMinimum`")]
    fn no_keyword_of_a_field_is_taken_out_of_its_context() {
        let mut document = Document::build(None, LIFETIMES);
        let schemas = &mut document.value_mut()["components"]["schemas"];
        schemas["ObtainRequest"]["properties"]["email"]["exclusiveMinimum"] = true.into();
        let _ = Schemas::compile(&document);
    }

    #[test]
    #[should_panic(expected = "`additionalProperties`")]
    fn nor_one_of_the_body() {
        let mut document = Document::build(None, LIFETIMES);
        let schemas = &mut document.value_mut()["components"]["schemas"];
        schemas["ObtainRequest"]["additionalProperties"] = false.into();
        let _ = Schemas::compile(&document);
    }

    #[test]
    fn blank_is_white_space_and_nothing_else() {
        let document = Document::build(None, LIFETIMES);
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
