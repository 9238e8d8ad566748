//! The header with the address of a client.

use poem::http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
pub struct ClientIpHeader(HeaderName);

impl ClientIpHeader {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl Default for ClientIpHeader {
    fn default() -> Self {
        Self(HeaderName::from_static("x-forwarded-for"))
    }
}

impl TryFrom<String> for ClientIpHeader {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = HeaderName::try_from(text);
        name.map(Self)
            .map_err(|_| "not the name of a header, such as x-forwarded-for or forwarded")
    }
}

impl From<ClientIpHeader> for String {
    fn from(header: ClientIpHeader) -> Self {
        header.0.as_str().to_owned()
    }
}
