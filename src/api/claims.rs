//! The JSON Schema of the claims of a token. In the OpenAPI document, a token is a string.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::auth::Claims;

/// The path of the schema.
pub const CLAIMS_PATH: &str = "/openapi/claims.schema.json";

/// Returns the schema, with the claim `iss` if the service has an issuer.
pub(super) fn claims_schema(has_issuer: bool) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    // Serialization orders the keywords.
    let mut schema = json!(generator.into_root_schema_for::<Claims>());
    if has_issuer {
        schema["properties"]["iss"] =
            json!({ "description": "The issuer of the token.", "type": "string" });
        let required = schema["required"].as_array_mut();
        required.expect("claims are required").push("iss".into());
    }
    schema
}
