//! The JSON Schema of the claims of a token. In the OpenAPI document, a token is a string.

use schemars::generate::SchemaSettings;
use serde_json::json;

use super::document::Document;
use crate::auth::Claims;

/// The path of the schema.
pub const CLAIMS_PATH: &str = "/openapi/claims.schema.json";

impl Document {
    /// Adds the claim `iss` to the schema of the claims, if the service has an issuer.
    #[must_use]
    pub const fn with_issuer(mut self, has_issuer: bool) -> Self {
        self.has_issuer = has_issuer;
        self
    }

    /// Returns the schema of the claims as JSON.
    ///
    /// # Panics
    /// Never: a schema is JSON.
    #[must_use]
    pub fn to_claims_schema(&self) -> String {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<Claims>();
        if self.has_issuer {
            let schema = schema.ensure_object();
            schema["properties"]["iss"] =
                json!({ "description": "The issuer of the token.", "type": "string" });
            let required = schema["required"].as_array_mut();
            required.expect("claims are required").push("iss".into());
        }
        serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
    }
}
