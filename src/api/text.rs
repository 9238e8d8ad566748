//! The strings of requests: not blank, and without NUL.

use serde_json::{Map, Value};

/// At least one character that is not white space, and no NUL.
///
/// The pattern uses only syntax that all regex engines and client generators support: PCRE (and PHP) has no `\u`, `\s` differs between
/// engines, and generators break literal white space. Therefore the pattern covers the white space of Latin-1, and
/// [`email::strip`](crate::accounts::email::strip) covers other scripts.
pub(super) const PATTERN: &str = r"^[^\x00]*[^\x00\x09-\x0d\x1c-\x20\x85\xa0][^\x00]*$";

/// Adds these rules to the schemas of requests, and the format to emails. The types of poem-openapi have no such rules, and its validators
/// would run in addition to [`super::Validators`].
pub(super) fn add_rules(schemas: &mut Map<String, Value>) {
    let requests = schemas
        .iter_mut()
        .filter(|(name, _)| name.ends_with("Request"));
    let properties = requests.filter_map(|(_, schema)| schema["properties"].as_object_mut());
    for (name, property) in properties.flatten() {
        let property = property.as_object_mut().expect("a schema is an object");
        if property["type"] == "string" {
            property.insert("minLength".to_owned(), 1.into());
            property.insert("pattern".to_owned(), PATTERN.into());
        }
        if name == "email" {
            property.shift_insert(1, "format".to_owned(), "email".into());
        }
    }
}
