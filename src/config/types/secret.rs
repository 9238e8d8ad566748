//! Secrets that are given by a setting.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text that is shown in the place of a secret.
pub(in crate::config) const MASK: &str = "***";

/// A secret. `Debug` does not print the value.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
