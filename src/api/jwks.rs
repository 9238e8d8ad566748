//! The part of the OpenAPI document about the public keys. The service has it only with private keys.

use serde_json::{Value, json};

use super::Document;

/// The path of the key set.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// The media type of the key set (RFC 7517 section 8.5.2).
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// The sentences about signatures in the description of the document.
pub(super) const HS256: &str =
    "Tokens are signed with HS256: a service with the secret can verify tokens, and
can also sign tokens.";
const ES256: &str = "Tokens are signed with ES256: other services verify tokens with the keys of
`/.well-known/jwks.json`, and cannot sign tokens.";

/// The keys of a service for ES256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublicKeys {
    /// The service has no keys.
    #[default]
    Absent,
    /// The service publishes keys, and signs with HS256.
    Published,
    /// The service publishes keys, and signs with ES256.
    Sign,
}

impl Document {
    /// Adds the key set, if the service has keys.
    ///
    /// # Panics
    /// If the description of the document has no sentence about signatures.
    #[must_use]
    pub fn with_keys(mut self, keys: PublicKeys) -> Self {
        let document = self.value_mut();
        if keys != PublicKeys::Absent {
            document["paths"][JWKS_PATH] = path_item();
        }
        if keys == PublicKeys::Sign {
            let description = document["info"]["description"].as_str().unwrap_or_default();
            assert!(
                description.contains(HS256),
                "the description names the algorithm"
            );
            document["info"]["description"] = description.replace(HS256, ES256).into();
        }
        self
    }
}

/// Returns the path item of the key set.
fn path_item() -> Value {
    let text = |description| json!({ "type": "string", "description": description });
    let one = |value, description| json!({ "type": "string", "enum": [value], "description": description });
    let key = json!({
        "type": "object",
        "required": ["kty", "use", "alg", "kid", "crv", "x", "y"],
        "properties": {
            "kty": one("EC", "The type of the key."),
            "use": one("sig", "The key verifies signatures."),
            "alg": one("ES256", "The algorithm of the tokens."),
            "kid": text("The ID of the key, which is also in the header of its tokens."),
            "crv": one("P-256", "The curve."),
            "x": text("The first coordinate of the key, in base64url."),
            "y": text("The second coordinate of the key, in base64url."),
        },
    });
    let set = json!({
        "type": "object",
        "required": ["keys"],
        "properties": { "keys": { "type": "array", "description": "The keys.", "items": key } },
    });
    json!({
        "get": {
            "summary": "Get the public keys",
            "description": "Returns the keys with which other services verify tokens (RFC 7517). A service may cache the keys as \
                long as `Cache-Control` allows. A new key is in this set before it signs tokens.",
            "operationId": "getKeys",
            "responses": {
                "200": {
                    "description": "The public keys.",
                    "content": { JWKS_MEDIA_TYPE: { "schema": set } },
                    "headers": {
                        "Cache-Control": header("How long the keys may be cached."),
                        "ETag": header("The version of the keys, for `If-None-Match`."),
                    },
                },
                "304": { "description": "The client has the current keys." },
            },
        },
    })
}

fn header(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}
