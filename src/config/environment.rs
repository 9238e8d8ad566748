//! The environment variables of this process.

use std::collections::BTreeMap;

/// Environment variables by name. A value that is not UTF-8 is `None`.
pub type Environment = BTreeMap<String, Option<String>>;

/// Returns the environment variables of this process.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one module that reads the environment"
)]
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
        .collect()
}
