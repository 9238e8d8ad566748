//! `signet config`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    error::CliError,
    output::{print, print_json},
    prepared::ServeContext,
};
use crate::{
    config::{LoadedConfig, json_schema, reference, template},
    text::printable,
};

/// The path of the JSON Schema, relative to the template.
const SCHEMA_PATH: &str = "./signet.schema.json";

#[derive(Subcommand)]
pub(super) enum Config {
    /// Show the value and the source of each setting. Secrets are masked
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Report all errors of the settings, without starting the service
    Check,
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Print a configuration file with all settings
    Sample,
    /// Print the reference page of all settings in Markdown
    Reference,
}

impl Config {
    /// Returns the output of a command that does not load the settings.
    pub(super) fn static_output(&self) -> Option<String> {
        match self {
            Self::Schema => Some(format!("{:#}", json_schema())),
            Self::Sample => Some(template(SCHEMA_PATH)),
            Self::Reference => Some(reference()),
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
            Self::Schema | Self::Sample | Self::Reference => Ok(()),
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
    let given = match config.sources.len() {
        0 => "all defaults".to_owned(),
        1 => "1 setting".to_owned(),
        number => format!("{number} settings"),
    };
    let file = config.file.as_ref();
    let file = file.map_or_else(String::new, |file| format!("; file {}", file.display()));
    print(format!("configuration valid ({given}{file})"))
}
