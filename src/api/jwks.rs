//! The part of the OpenAPI document about the public keys. The service has it only with private keys.

use super::{
    document::{Document, HS256},
    token,
};

/// The path of the key set.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// The media type of the key set (RFC 7517 section 8.5.2).
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// The sentences about signatures, in the place of [`HS256`].
const ES256: &str = "Tokens are signed with ES256: other services verify tokens with the keys of
`/.well-known/jwks.json`, and cannot sign tokens.";

/// The header and the signature of the documented token with ES256. The key of RFC 7515 appendix A.3 signs the token with the documented
/// lifetime.
const ES256_HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im9LSXl3dkdVcFRWVHl4TVEzYndJSWVRVXVkZnJfQ2tMTWpDRTE5RUNELVUifQ";
const ES256_SIGNATURE: &str =
    "HhWOTVOGg3IAEk_4KbMD3U5pcjK2uvJrjrzwxF6_4DZsM9-558kKmyQgEVEjcK_4GGHRJT0fHIncHbScntSAVg";

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
    /// Never: a part of a JSON string is replaced.
    #[must_use]
    pub fn with_keys(mut self, keys: PublicKeys) -> Self {
        let document = self.value_mut();
        if keys != PublicKeys::Absent {
            let path_item = serde_json::from_str(include_str!("jwks.json"));
            document["paths"][JWKS_PATH] = path_item.expect("the file is JSON");
        }
        if keys == PublicKeys::Sign {
            let description = document["info"]["description"].as_str().unwrap_or_default();
            document["info"]["description"] = description.replace(HS256, ES256).into();
            // Only the document contains the token: other formats store the token of a login.
            let text = document.to_string();
            let text = text.replace(token::HEADER, ES256_HEADER);
            let text = text.replace(token::SIGNATURE, ES256_SIGNATURE);
            *document = serde_json::from_str(&text).expect("a token is a part of a string");
        }
        self
    }
}
