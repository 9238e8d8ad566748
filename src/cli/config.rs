//! `signet config`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    error::CliError,
    output::{OutputArgs, Table, counted, print_json},
    serve_context::ServeContext,
};
use crate::config::{LoadedConfig, json_schema, reference, template};

/// The path of the JSON Schema, relative to the template.
const SCHEMA_PATH: &str = "./signet.schema.json";

#[derive(Subcommand)]
pub(super) enum Config {
    /// Show the value and the source of each setting. Secrets are masked
    Show(OutputArgs),
    /// Report all errors of the settings, without starting the service
    Check(OutputArgs),
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
            Self::Show(_) | Self::Check(_) => None,
        }
    }

    pub(super) fn run(self, config: &LoadedConfig) -> Result<(), CliError> {
        match self {
            Self::Show(output) if output.json => print_json(as_json(config)),
            Self::Show(_) => show(config),
            Self::Check(output) => check(config, output),
            Self::Schema | Self::Sample | Self::Reference => Ok(()),
        }
    }
}

fn show(config: &LoadedConfig) -> Result<(), CliError> {
    let mut table = Table::new(["SETTING", "VALUE", "SOURCE"]);
    for setting in config.effective() {
        let value = match setting.value {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        let source = setting.source.unwrap_or_else(|| "default".to_owned());
        table.row([setting.name, value, source]);
    }
    table.print().map(drop)
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
fn check(config: &LoadedConfig, output: OutputArgs) -> Result<(), CliError> {
    ServeContext::load(&config.settings)?;
    let settings = config.sources.len();
    let given = match settings {
        0 => "all defaults".to_owned(),
        number => counted(number as u64, "setting"),
    };
    let path = config.file.as_ref();
    let file = path.map_or_else(String::new, |file| format!("; file {}", file.display()));
    output.confirm(
        format!("configuration valid ({given}{file})"),
        json!({
            "valid": true,
            "settings": settings,
            "file": path.map(|path| path.to_string_lossy()),
        }),
    )
}
