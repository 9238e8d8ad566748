//! A size in bytes with bounds.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number of bytes from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u32")]
pub struct BoundedBytes<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> BoundedBytes<MIN, MAX> {
    /// Creates a constant.
    ///
    /// # Panics
    /// If the number is out of bounds.
    #[must_use]
    pub const fn new(bytes: u32) -> Self {
        assert!(MIN <= bytes && bytes <= MAX, "out of bounds");
        Self(bytes)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<u64> for BoundedBytes<MIN, MAX> {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, Self::Error> {
        match u32::try_from(bytes) {
            Ok(bytes) if bytes < MIN => Err(format!("less than {MIN} bytes")),
            Ok(bytes) if bytes <= MAX => Ok(Self(bytes)),
            _ => Err(format!("more than {MAX} bytes")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> From<BoundedBytes<MIN, MAX>> for u32 {
    fn from(bytes: BoundedBytes<MIN, MAX>) -> Self {
        bytes.0
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for BoundedBytes<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("BytesFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "uint32", "minimum": MIN, "maximum": MAX })
    }
}
