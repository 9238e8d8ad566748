//! The strings that clients send: neither blank nor with NUL in them, and never printed.

use std::{borrow::Cow, fmt};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::users::email;

/// At least one character that is not white space ([`email::is_white_space`]), and no NUL.
///
/// Written so that the engines of JSON Schema validators agree on it: no look-around, and no `\s`,
/// which means another set in each.
pub(super) const PATTERN: &str = concat!(
    r"^[^\u0000]*",
    r"[^\u0000\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000]*$",
);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, format: $format:expr, stored: $stored:expr) => {
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
                    Some(Value::String(text)) => Ok(Self($stored(text))),
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
    /// An e-mail, without the white space around it.
    Email, format: Some("email"), stored: stripped
}
text! {
    /// A password, exactly as it was sent.
    ///
    /// It has no `format: password`: that is a hint for forms, and some SDK generators turn it into
    /// a type of their own that no longer serialises as the string it is.
    Password, format: None, stored: std::convert::identity
}
text! {
    /// A token that a client presents, without the white space around it.
    PresentedToken, format: None, stored: stripped
}

fn stripped(text: String) -> String {
    match email::strip(&text) {
        same if same.len() == text.len() => text,
        shorter => shorter.to_owned(),
    }
}
