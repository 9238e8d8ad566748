//! `signet config`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    error::CliError,
    output::{print, print_json},
    prepared::Prepared,
};
use crate::{
    config::{self, Read},
    text::printable,
};

/// Where the sample finds its schema: beside itself.
const SCHEMA: &str = "./signet.schema.json";

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
    /// What needs no settings to be told.
    pub(super) fn without_settings(&self) -> Option<String> {
        match self {
            Self::Schema => Some(format!("{:#}", config::schema())),
            Self::Sample => Some(config::sample(SCHEMA)),
            Self::Show { .. } | Self::Check => None,
        }
    }

    pub(super) fn run(self, read: &Read) -> Result<(), CliError> {
        match self {
            Self::Show { json: true } => {
                print_json(format_args!("{:#}", Value::Object(as_json(read))))
            }
            Self::Show { json: false } => show(read),
            Self::Check => check(read),
            Self::Schema | Self::Sample => Ok(()),
        }
    }
}

fn show(read: &Read) -> Result<(), CliError> {
    let shown = read.shown();
    let text = |value: Option<Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => printable(&text),
        Some(other) => other.to_string(),
    };
    let rows: Vec<_> = shown
        .into_iter()
        .map(|it| {
            (
                it.name,
                text(it.value),
                it.source.unwrap_or_else(|| "default".to_owned()),
            )
        })
        .collect();
    let name = rows
        .iter()
        .map(|(name, ..)| name.len())
        .max()
        .unwrap_or_default();
    let value = rows
        .iter()
        .map(|(_, value, _)| value.len())
        .max()
        .unwrap_or_default();
    rows.iter().try_for_each(|(setting, it, source)| {
        print(format!("{setting:name$}  {it:value$}  {source}"))
    })
}

fn as_json(read: &Read) -> Map<String, Value> {
    let shown = read.shown().into_iter();
    shown
        .map(|it| (it.name, json!({ "value": it.value, "source": it.source })))
        .collect()
}

/// What `serve` would refuse before it opens anything. What is wrong with single settings was told already.
fn check(read: &Read) -> Result<(), CliError> {
    Prepared::of(&read.settings)?;
    let file = read.file.as_ref();
    let file = file.map_or_else(String::new, |file| format!(", {} included", file.display()));
    print(format!(
        "the settings are good{file}; {} are given",
        read.sources.len()
    ))
}
