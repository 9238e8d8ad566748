//! The claims of a token as JSON Schema: OpenAPI sees only a string.

use schemars::generate::SchemaSettings;

use crate::auth::Claims;

/// Where the schema is served.
pub const CLAIMS_PATH: &str = "/openapi/claims.schema.json";

/// The schema, as it is committed and served.
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
