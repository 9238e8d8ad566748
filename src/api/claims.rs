//! The JSON Schema of the claims of a token. In the OpenAPI document, a token is a string.

use schemars::generate::SchemaSettings;

use crate::auth::Claims;

/// The path of the schema.
pub const CLAIMS_PATH: &str = "/openapi/claims.schema.json";

/// Returns the schema as JSON.
///
/// # Panics
/// Never: a schema is JSON.
#[must_use]
pub fn claims_schema() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Claims>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}
