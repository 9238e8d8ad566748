//! The strings of requests: not blank, without NUL, and hidden in `Debug`.

use std::{borrow::Cow, fmt};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::accounts::email;

/// At least one character that is not white space, and no NUL.
///
/// The pattern uses only syntax that all regex engines and client generators support: PCRE (and PHP) has no `\u`, `\s` differs between
/// engines, and generators break literal white space. Therefore the pattern covers the white space of Latin-1, and
/// [`email::strip`] covers other scripts.
pub(super) const PATTERN: &str = r"^[^\x00]*[^\x00\x09-\x0d\x1c-\x20\x85\xa0][^\x00]*$";

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, format: $format:expr, normalize: $normalize:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new(MetaSchema {
                    format: $format,
                    min_length: Some(1),
                    pattern: Some(PATTERN.to_owned()),
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

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => Ok(Self($normalize(text))),
                    other => Err(ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.clone().into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

text! {
    /// An email, without the white space around it.
    Email, format: Some("email"), normalize: trimmed
}
text! {
    /// A password, exactly as it was sent.
    ///
    /// It has no `format: password`: that is a hint for forms, and some SDK generators turn it into
    /// a type of their own that no longer serialises as the string it is.
    Password, format: None, normalize: std::convert::identity
}
text! {
    /// A token that a client presents, without the white space around it.
    PresentedToken, format: None, normalize: trimmed
}

fn trimmed(text: String) -> String {
    match email::strip(&text) {
        same if same.len() == text.len() => text,
        shorter => shorter.to_owned(),
    }
}
