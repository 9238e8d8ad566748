//! The response with a new token.

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use poem_openapi::{
    Object,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::auth::IssuedToken;

/// A signed token.
#[derive(Object, Serialize)]
#[expect(clippy::struct_field_names, reason = "the contract names the fields")]
pub struct Token {
    /// `JWT`
    pub r#type: TokenType,
    /// Token
    pub token: String,
    /// Seconds remaining for the token to expire
    pub expires_in: i64,
}

impl From<IssuedToken> for Token {
    fn from(grant: IssuedToken) -> Self {
        Self {
            r#type: TokenType,
            token: grant.token,
            expires_in: grant.expires_in,
        }
    }
}

impl Token {
    /// Returns the example of the contract, issued to user 1, `john.doe@email.com`, in 2018. With another lifetime than the
    /// documented hour, the claim `exp` differs, but the signature is the same, because the secret of the example is unknown.
    pub(super) fn documented(expires_in: i64) -> Self {
        const ISSUED: i64 = 1_539_737_696;
        let expires = ISSUED.saturating_add(expires_in);
        let claims = format!(
            r#"{{"user_id":1,"username":"john.doe@email.com","exp":{expires},"email":"john.doe@email.com","orig_iat":{ISSUED}}}"#
        );
        let claims = BASE64URL_NOPAD.encode(claims.as_bytes());
        IssuedToken {
            token: format!(
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.{claims}.cq9TRU0lPKY1-A_miNEqtOE6Kgi9Fx0Av1JlNu1Nq84"
            ),
            expires_in,
        }
        .into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The only type of token.
///
/// The schema is inline: poem-openapi would wrap a described reference in an `allOf`, which SDK generators turn into an empty type.
#[derive(Clone, Copy, Debug)]
pub struct TokenType;

impl TokenType {
    const NAME: &str = "JWT";
}

impl Type for TokenType {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "TokenType".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            enum_items: vec![Self::NAME.into()],
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for TokenType {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(name)) if name == Self::NAME => Ok(Self),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl ToJSON for TokenType {
    fn to_json(&self) -> Option<Value> {
        Some(Self::NAME.into())
    }
}

impl Serialize for TokenType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::NAME)
    }
}
