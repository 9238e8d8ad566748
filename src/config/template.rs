//! A configuration file with every setting, and its JSON Schema.

use serde_json::{Value, json};

use super::describe::{GROUP, inline_schema, settings};
use crate::template::render;

/// Returns the JSON Schema of the configuration file, for editors and linters.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = inline_schema();
    schema["title"] = json!("Configuration of Signet");
    for (_, setting) in schema["properties"].as_object_mut().into_iter().flatten() {
        // TOML has no null.
        if let Some(kinds) = setting.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
        }
        if let Some(setting) = setting.as_object_mut() {
            setting.retain(|name, value| {
                name != GROUP && (name != "default" || !(value.is_null() || value == ""))
            });
        }
    }
    schema
}

/// Returns a configuration file in which every setting is commented out, with its default or an example. Editors find the JSON Schema
/// at the path `schema`.
#[must_use]
pub fn template(schema: &str) -> String {
    let values = json!({ "schema": schema, "settings": settings() });
    render(include_str!("signet.toml.jinja"), values)
}

/// Returns a page with tables of all settings.
#[must_use]
pub fn reference() -> String {
    let values = json!({ "settings": settings() });
    render(include_str!("reference.md.jinja"), values)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{json_schema, template};
    use crate::config::{file::File, load, settings};

    /// Returns the template with one line that is not commented out.
    fn with(name: &str) -> String {
        let line = format!("# {name} = ");
        let template = template("x.json");
        assert_eq!(template.matches(&line).count(), 1, "{name}");
        template.replace(&line, &line[2..])
    }

    #[test]
    fn every_line_of_the_template_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signet.toml");
        let flags = BTreeMap::from([("config".to_owned(), file.display().to_string())]);
        let schema = jsonschema::validator_for(&json_schema()).unwrap();
        for setting in settings() {
            let name = setting.name;
            let is_pair = ["tls_certificate", "tls_key"].contains(&name.as_str());
            let text = if is_pair {
                with("tls_certificate").replace("# tls_key", "tls_key")
            } else {
                with(&name)
            };
            std::fs::write(&file, &text).unwrap();
            let config =
                load(&BTreeMap::new(), &flags).unwrap_or_else(|errors| panic!("{errors:?}"));
            let source = config.sources[&name].to_string();
            assert!(source.contains("signet.toml:"), "{name}");
            let entry = File::read(Some(file.clone())).unwrap().entries.remove(0);
            let value = serde_json::json!({ entry.key: entry.value });
            assert!(schema.is_valid(&value), "{value}");
        }
    }

    #[test]
    fn schema_rejects_invalid_settings() {
        let schema = jsonschema::validator_for(&json_schema()).unwrap();
        for (value, is_valid) in [
            (serde_json::json!({}), true),
            (
                serde_json::json!({ "jwt_expires_in": "15m", "stop_delay": 0 }),
                true,
            ),
            (
                serde_json::json!({ "trusted_proxies": ["10.0.0.0/8"], "cors_origins": "https://a" }),
                true,
            ),
            (serde_json::json!({ "jwt_expires_in": "soon" }), false),
            (serde_json::json!({ "jwt_expires_in": 0 }), false),
            (serde_json::json!({ "connections": "many" }), false),
            (serde_json::json!({ "throttle": "never" }), false),
            (serde_json::json!({ "jwt_secrets": "x" }), false),
            (serde_json::json!({ "tls_key": null }), false),
        ] {
            assert_eq!(schema.is_valid(&value), is_valid, "{value}");
        }
    }
}
