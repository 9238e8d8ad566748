//! What editors and people are told of the configuration file: its schema, and a sample of it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{described, settings};

/// The JSON Schema of the file, for editors and linters.
#[must_use]
pub fn schema() -> Value {
    let mut schema = described();
    schema["title"] = json!("Configuration of Signet");
    for (_, setting) in schema["properties"].as_object_mut().into_iter().flatten() {
        // A setting that is not set is left out: TOML has no null.
        if let Some(kinds) = setting.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
        }
        if let Some(setting) = setting.as_object_mut() {
            setting.retain(|name, value| name != "default" || !(value.is_null() || value == ""));
        }
    }
    schema
}

/// A file with every setting at its default, or an example, commented out; `schema` is where editors find the schema.
#[must_use]
pub fn sample(schema: &str) -> String {
    let mut sample = format!(
        "#:schema {schema}\n\
         #\n\
         # The settings of Signet. What is commented out is the default, or an example where there is none.\n\
         # An environment variable (SIGNET_LISTEN) wins over this file, and a flag (--listen) over both.\n\
         # `signet config check` tells what is wrong with it, `signet config show` what is in force.\n"
    );
    for setting in settings() {
        let value = &setting.example;
        let _ = write!(
            sample,
            "\n# {}\n# {} = {value}\n",
            setting.about, setting.name
        );
    }
    sample
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{sample, schema};
    use crate::config::{read, settings};

    /// The sample with one of its settings in force.
    fn with(name: &str) -> String {
        let line = format!("# {name} = ");
        let sample = sample("x.json");
        assert_eq!(sample.matches(&line).count(), 1, "{name}");
        sample.replace(&line, &line[2..])
    }

    #[test]
    fn every_line_of_the_sample_would_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signet.toml");
        let flags = BTreeMap::from([("config".to_owned(), file.display().to_string())]);
        let schema = jsonschema::validator_for(&schema()).unwrap();
        for setting in settings() {
            let name = setting.name;
            // One of two that go together, or exclude each other, is another test's.
            let pair = ["tls_certificate", "tls_key"].contains(&name.as_str());
            let text = if pair {
                with("tls_certificate").replace("# tls_key", "tls_key")
            } else {
                with(&name)
            };
            std::fs::write(&file, &text).unwrap();
            let read = read::read(&BTreeMap::new(), &flags)
                .unwrap_or_else(|problems| panic!("{problems:?}"));
            assert!(read.sources[&name].contains("signet.toml:"), "{name}");
            let entry = super::super::file::File::read(Some(file.clone()))
                .unwrap()
                .entries
                .remove(0);
            let value = serde_json::json!({ entry.key: entry.value });
            assert!(schema.is_valid(&value), "{value}");
        }
    }

    #[test]
    fn the_schema_refuses_what_the_service_refuses() {
        let schema = jsonschema::validator_for(&schema()).unwrap();
        for (value, fits) in [
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
            assert_eq!(schema.is_valid(&value), fits, "{value}");
        }
    }
}
