//! Lists of values, separated by commas.

use schemars::JsonSchema;

/// The JSON Schema of a list. A file may also contain the list as an array.
#[derive(JsonSchema)]
#[schemars(inline, extend("type" = ["array", "string"]))]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) struct List(Vec<String>);

/// Returns the items of a list without white space.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
