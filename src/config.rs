//! The settings of the service.
//!
//! | file | contents |
//! |---|---|
//! | `settings` | every setting, with its type, default and description |
//! | `types` | the types of the settings, which validate themselves |
//! | `load` | reads the settings from a file, the environment and flags |
//! | `loaded`, `error` | the settings with their sources, and the errors of sources |
//! | `file` | parses the configuration file |
//! | `suggest` | suggests the setting that a misspelled name means |
//! | `describe` | the name, variable, flag and description of each setting |
//! | `template` | a configuration file with every setting, and its JSON Schema |
//! | `convert` | turns settings into the types of other modules |
//! | `environment`, `system` | the environment variables and the memory of this process |
//!
//! The setting `jwt_expires_in` is this key in the configuration file, the environment variable `SIGNET_JWT_EXPIRES_IN`, and the flag
//! `--jwt-expires-in`. The environment overrides the file, and a flag overrides both. Secrets have no flag, since other users of a
//! machine can read the arguments of a process.

mod convert;
mod describe;
mod environment;
mod error;
mod file;
mod load;
mod loaded;
mod settings;
mod suggest;
mod system;
mod template;
mod types;

pub use describe::{CONFIG, Setting, settings};
pub use environment::{Environment, environment};
pub use error::ConfigError;
pub use file::DEFAULT_FILE;
pub use load::load;
pub use loaded::{EffectiveSetting, LoadedConfig, ValueSource};
pub use settings::Settings;
pub use template::{json_schema, reference, template};
pub use types::{
    AuditEmails, BoundedSeconds, ClientIpHeader, DatabaseUrl, Issuer, JwtAlgorithm, Listen,
    LogFilter, Origins, PublicUrl, Rate, Secret, SocketMode, Switch, TrustedProxies,
};
