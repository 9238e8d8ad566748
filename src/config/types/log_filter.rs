//! The filter of the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A tracing filter: levels, and targets with levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// Returns the filter. The migration library logs several lines for each migration, and the connection pool logs an error for each
    /// connection to a standby. The log has one line of Signet for both, so their lines need an explicit directive.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!(
            "sea_orm_migration=warn,sqlx_core::pool::inner=off,{}",
            self.0
        ))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // EnvFilter parses a misspelled level as the name of a module, and then disables all other modules.
        let is_known = |directive: &str| {
            directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok()
        };
        if !text.split(',').all(is_known) {
            return Err(
                "not a level (error, warn, info, debug, trace or off) and not target=level",
            );
        }
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err("not a valid filter, such as warn,signet=debug"),
        }
    }
}
