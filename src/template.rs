//! Renders templates in the language of [Jinja](https://docs.rs/minijinja/latest/minijinja/syntax/).

use minijinja::{
    Environment, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value},
};
use serde::Serialize;

/// Renders a template. The filter `json` writes a value as JSON in several lines.
///
/// # Panics
/// If the template is invalid, or uses a value that does not exist.
pub(crate) fn render(template: &str, context: impl Serialize) -> String {
    // Lines that contain only a tag are not part of the text.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    let mut environment = Environment::new();
    environment.set_syntax(syntax.expect("the delimiters are the default"));
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.add_filter("json", |value: Value| {
        serde_json::to_string_pretty(&value).expect("values of templates are JSON")
    });
    environment
        .render_str(template, Value::from(Serde(context)))
        .unwrap_or_else(|error| panic!("the template does not match its values: {error:#}"))
}
