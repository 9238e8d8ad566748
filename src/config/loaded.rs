//! The loaded settings with their sources.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::Value;

use super::{
    describe::{Setting, as_map, settings},
    error::ConfigError,
    settings::Settings,
    types::MASK,
};
use crate::problem::Problem;

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// A line of the configuration file.
    File {
        /// The path and the line, such as `signet.toml:3`.
        line: String,
        /// The key in the file.
        key: String,
    },
    /// An environment variable.
    Variable(String),
    /// A flag with its dashes.
    Flag(String),
}

impl ValueSource {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Returns an error of the value.
    pub(super) fn error(&self, problem: Problem) -> ConfigError {
        let location = self.location();
        ConfigError { location, problem }
    }

    /// Returns an error of the value with its remedy.
    pub(super) fn error_with_hint(&self, message: &str, hint: &str) -> ConfigError {
        self.error(Problem::new(message).hint(hint))
    }

    /// Returns the text that begins an error message.
    pub(super) fn location(&self) -> String {
        match self {
            Self::File { line, key } => format!("{line}: {}", key.escape_debug()),
            Self::Variable(name) | Self::Flag(name) => name.clone(),
        }
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line: name, .. } | Self::Variable(name) | Self::Flag(name) => {
                f.write_str(name)
            }
        }
    }
}

/// The settings with their sources.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// The settings.
    pub settings: Settings,
    /// The sources of all values that are not defaults.
    pub sources: BTreeMap<String, ValueSource>,
    /// The path of the configuration file, if there is a file.
    pub file: Option<PathBuf>,
    /// `SIGNET_*` variables that are not settings and do not look like misspelled settings.
    pub unknown_variables: Vec<String>,
}

/// A setting and its value without secrets.
#[derive(Clone, Debug)]
pub struct EffectiveSetting {
    /// The name of the setting.
    pub name: String,
    /// The value, if there is one. Secrets are masked.
    pub value: Option<Value>,
    /// The source of the value, unless the value is the default.
    pub source: Option<String>,
}

impl LoadedConfig {
    /// Returns every setting, in the order of the fields.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let mut values = as_map(&self.settings);
        let effective = |setting: Setting| EffectiveSetting {
            value: match values[&setting.name].take() {
                Value::Null => None,
                _ if setting.is_secret => Some(MASK.into()),
                _ if setting.name == "database_url" => {
                    Some(self.settings.database_url.masked().into())
                }
                value => Some(value),
            },
            source: self.sources.get(&setting.name).map(ToString::to_string),
            name: setting.name,
        };
        settings().into_iter().map(effective).collect()
    }
}
