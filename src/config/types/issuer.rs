//! The issuer of tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::public_url::PublicUrl;

/// An absolute `http` or `https` URL without userinfo, query and fragment. Verifiers compare issuers as text, so the URL stays as given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Issuer(String);

impl Issuer {
    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Issuer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        PublicUrl::try_from(text.clone()).map(|_| Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::Issuer;

    #[test]
    fn issuers_are_urls_and_stay_as_given() {
        for text in ["https://auth.example.com", "https://auth.example.com/"] {
            assert_eq!(Issuer::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        for text in ["", "signet", "https://user@host", "https://host?query"] {
            assert!(Issuer::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
