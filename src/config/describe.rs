//! The name, variable, flag and description of each setting.

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use super::settings::Settings;

/// The prefix of environment variables.
pub(super) const PREFIX: &str = "SIGNET_";

/// The keyword of the schema with the group of a setting and of the settings after it.
pub(super) const GROUP: &str = "x-group";

/// The name of the configuration file among the flags and, in upper case with the prefix, the variables.
pub const CONFIG: &str = "config";

/// The description of one setting.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The name of the field of [`Settings`].
    pub name: String,
    /// The doc comment of the field.
    pub description: String,
    /// The heading of the setting in the help and on the reference page.
    pub group: String,
    /// The kind of the value in the help.
    pub value_name: String,
    /// The accepted values, if there are only a few.
    pub values: Vec<String>,
    /// The default, if there is one.
    pub default: Option<String>,
    /// Whether the value is masked and has no flag.
    pub is_secret: bool,
    /// The default, or an example if there is no default.
    pub(super) example: Value,
    pub(super) is_numeric: bool,
    /// Whether a file may contain the value as an array.
    pub(super) is_list: bool,
}

impl Setting {
    /// Returns the name of the environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.name)
    }

    /// Returns the flag without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether a part of the value may be a secret.
    pub(super) fn may_contain_secrets(&self) -> bool {
        self.is_secret || self.name == "database_url"
    }
}

/// Returns the name of the environment variable of a setting.
pub(super) fn variable(name: &str) -> String {
    PREFIX.to_owned() + &name.to_uppercase()
}

/// Returns the descriptions of all settings, in the order of the fields.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let schema = inline_schema();
    let defaults = as_map(&Settings::default());
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut group = String::new();
    properties
        .map(|(name, schema)| {
            if let Some(next) = schema[GROUP].as_str() {
                next.clone_into(&mut group);
            }
            let default = Some(&defaults[name]).filter(|value| !value.is_null() && *value != "");
            // The type of an optional setting is a list, such as `["integer", "null"]`.
            let accepts = |kind| schema["type"].to_string().contains(kind);
            let values = accepted_values(schema);
            Setting {
                name: name.clone(),
                description: schema["description"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                group: group.clone(),
                value_name: value_name(name, schema, &values),
                values,
                default: default.map(as_text),
                is_secret: schema["writeOnly"] == true,
                example: default.unwrap_or(&schema["examples"][0]).clone(),
                is_numeric: accepts("integer"),
                is_list: accepts("array"),
            }
        })
        .collect()
}

/// Returns the values of a setting that accepts only a few.
fn accepted_values(schema: &Value) -> Vec<String> {
    let values = schema["oneOf"].as_array().into_iter().flatten();
    values.map(|value| as_text(&value["const"])).collect()
}

/// Returns the kind of the value for the help, such as `DURATION`.
fn value_name(name: &str, schema: &Value, values: &[String]) -> String {
    let types = schema["type"].to_string();
    let kind = match (types.contains("integer"), types.contains("string")) {
        _ if !values.is_empty() => return values.join("|"),
        (true, true) => "DURATION",
        (true, false) => "NUMBER",
        _ if types.contains("array") => "LIST",
        _ if name.ends_with("listen") => "ADDR",
        _ if name.ends_with("_file") || name.starts_with("tls_") => "PATH",
        _ if name.ends_with("_url") => "URL",
        _ if name.ends_with("_mode") => "MODE",
        _ if name.ends_with("_header") => "HEADER",
        _ if name.starts_with("throttle_") => "RATE",
        _ if name == "log" => "FILTER",
        _ => "VALUE",
    };
    kind.to_owned()
}

/// Returns the JSON Schema of the settings without references.
pub(super) fn inline_schema() -> Value {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Settings>()
        .to_value()
}

/// Returns the values of all settings by name.
pub(super) fn as_map(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("settings are an object"),
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
