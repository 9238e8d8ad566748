//! `signet config`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    error::CliError,
    output::{print, print_json},
    prepared::ServeContext,
};
use crate::{
    config::{LoadedConfig, json_schema, template},
    text::printable,
};

/// The path of the JSON Schema, relative to the template.
const SCHEMA_PATH: &str = "./signet.schema.json";

#[derive(Subcommand)]
pub(super) enum Config {
    /// Show every setting that is in force, and where it was given; secrets are masked
    Show {
        /// Write one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Tell what is wrong with the settings, with nothing started and nothing changed
    Check,
    /// Print the JSON Schema of the file, for editors
    Schema,
    /// Print a file with every setting, to start from
    Sample,
}

impl Config {
    /// Returns the output of a command that does not load the settings.
    pub(super) fn static_output(&self) -> Option<String> {
        match self {
            Self::Schema => Some(format!("{:#}", json_schema())),
            Self::Sample => Some(template(SCHEMA_PATH)),
            Self::Show { .. } | Self::Check => None,
        }
    }

    pub(super) fn run(self, config: &LoadedConfig) -> Result<(), CliError> {
        match self {
            Self::Show { json: true } => {
                print_json(format_args!("{:#}", Value::Object(as_json(config))))
            }
            Self::Show { json: false } => show(config),
            Self::Check => check(config),
            Self::Schema | Self::Sample => Ok(()),
        }
    }
}

/// Prints a table with the columns name, value and source.
fn show(config: &LoadedConfig) -> Result<(), CliError> {
    let text = |value: Option<Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => printable(&text),
        Some(other) => other.to_string(),
    };
    let rows: Vec<_> = config
        .effective()
        .into_iter()
        .map(|setting| {
            let source = setting.source.unwrap_or_else(|| "default".to_owned());
            (setting.name, text(setting.value), source)
        })
        .collect();
    let width = |column: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| column(row).len()).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.0), width(|row| &row.1));
    rows.iter().try_for_each(|(name, value, source)| {
        print(format!("{name:names$}  {value:values$}  {source}"))
    })
}

fn as_json(config: &LoadedConfig) -> Map<String, Value> {
    let settings = config.effective().into_iter();
    settings
        .map(|setting| {
            let value = json!({ "value": setting.value, "source": setting.source });
            (setting.name, value)
        })
        .collect()
}

/// Reports the errors that `serve` reports before it opens or creates a file.
fn check(config: &LoadedConfig) -> Result<(), CliError> {
    ServeContext::load(&config.settings)?;
    let file = config.file.as_ref();
    let file = file.map_or_else(String::new, |file| format!(", {} included", file.display()));
    print(format!(
        "the settings are good{file}; {} are given",
        config.sources.len()
    ))
}
