//! Reads the settings from a file, the environment and flags, and reports all errors together.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::{Map, Value};

use super::{
    describe::{CONFIG, PREFIX, Setting, settings, variable},
    environment::Environment,
    error::ConfigError,
    file::File,
    loaded::{LoadedConfig, ValueSource},
    settings::Settings,
    suggest::{closest, has_more_or_fewer_words, is_similar, is_typo},
};
use crate::problem::Problem;

/// Settings with the same meaning. A value in the environment or a flag overrides the other setting in the file. Otherwise, setting both
/// is an error.
const MUTUALLY_EXCLUSIVE: [[&str; 2]; 2] = [
    ["jwt_secret", "jwt_secret_file"],
    ["jwt_previous_secrets", "jwt_previous_secrets_file"],
];

/// Settings that require each other.
const REQUIRED_TOGETHER: [[&str; 2]; 2] = [
    ["tls_certificate", "tls_key"],
    ["tls_key", "tls_certificate"],
];

/// Loads the settings from a file, the environment and flags, in the order of increasing precedence. The flag `config` or the variable
/// `SIGNET_CONFIG` names the file. Flags are given by the names of their settings.
///
/// # Errors
/// Returns all errors of all sources.
pub fn load(
    environment: &Environment,
    flags: &BTreeMap<String, String>,
) -> Result<LoadedConfig, Vec<ConfigError>> {
    let known = settings();
    let mut loader = Loader {
        known: &known,
        ..Loader::default()
    };
    let file = loader.load_file(environment, flags);
    loader.load_environment(environment);
    loader.load_flags(flags);
    loader.check_mutually_exclusive();
    loader.check_required_together();
    loader.check_settings();
    if !loader.errors.is_empty() {
        return Err(loader.errors);
    }
    Ok(LoadedConfig {
        settings: parse(loader.values)
            .unwrap_or_else(|error| unreachable!("every value is valid: {error}")),
        sources: loader.sources,
        file,
        unknown_variables: loader.unknown_variables,
    })
}

#[derive(Default)]
struct Loader<'a> {
    known: &'a [Setting],
    /// Valid values by the name of the setting.
    values: Map<String, Value>,
    sources: BTreeMap<String, ValueSource>,
    /// The settings with invalid values.
    rejected: BTreeSet<String>,
    unknown_variables: Vec<String>,
    errors: Vec<ConfigError>,
}

impl<'a> Loader<'a> {
    /// Loads the file, and returns its path.
    fn load_file(
        &mut self,
        environment: &Environment,
        flags: &BTreeMap<String, String>,
    ) -> Option<PathBuf> {
        let path = match file_path(environment, flags) {
            Ok(path) => path,
            Err(error) => {
                self.errors.push(error);
                return None;
            }
        };
        let file = File::read(path)?;
        let path = file.path.display();
        self.errors.extend(file.errors);
        for entry in file.entries {
            let source = ValueSource::File {
                line: format!("{path}:{}", entry.line),
                key: entry.key.clone(),
            };
            match self.find(&entry.key) {
                Some(setting) => self.set(setting, entry.value, source),
                None => self.reject_unknown_key(&entry.key, &entry.value, &source),
            }
        }
        Some(file.path)
    }

    fn load_environment(&mut self, environment: &Environment) {
        let file_variable = variable(CONFIG);
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| *name != file_variable) else {
                continue;
            };
            let source = ValueSource::Variable(name.clone());
            let mut known = self.known.iter();
            match (known.find(|setting| setting.variable() == *name), value) {
                (Some(setting), Some(text)) => self.set_text(setting, text, source),
                (Some(_), None) => {
                    self.errors
                        .push(source.error(Problem::new("the value is not UTF-8")));
                }
                (None, _) => match self.misspelled(&key.to_lowercase()).map(variable) {
                    Some(meant) => {
                        let hint = format!("did you mean {meant}? Otherwise, unset the variable");
                        let error = source.error_with_hint("unknown setting", &hint);
                        self.errors.push(error);
                    }
                    None => self.unknown_variables.push(name.clone()),
                },
            }
        }
    }

    fn load_flags(&mut self, flags: &BTreeMap<String, String>) {
        for setting in self.known {
            if let Some(text) = flags.get(&setting.name) {
                let source = ValueSource::Flag(format!("--{}", setting.flag()));
                self.set_text(setting, text, source);
            }
        }
    }

    fn find(&self, name: &str) -> Option<&'a Setting> {
        self.known.iter().find(|setting| setting.name == name)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.known.iter().map(|setting| &*setting.name)
    }

    /// Returns the setting that the name of a variable probably means. Returns `None` if another program probably set the variable, as
    /// Kubernetes does with `SIGNET_SERVICE_HOST` and `SIGNET_PORT`.
    fn misspelled(&self, name: &str) -> Option<&'a str> {
        if ["config_file", "config_path"].contains(&name) || is_typo(name, CONFIG) {
            return Some(CONFIG);
        }
        if name
            .split('_')
            .any(|word| word == "port" || word == "service")
        {
            return None;
        }
        let similar = |known: &&str| is_typo(name, known) || has_more_or_fewer_words(name, known);
        closest(name, self.names().filter(similar))
    }

    /// Reports an unknown key of the file with the setting that it probably means.
    fn reject_unknown_key(&mut self, key: &str, value: &Value, source: &ValueSource) {
        // The key may be the name of a variable or a flag.
        let name = key.to_lowercase().replace('-', "_");
        let mut name = name.strip_prefix("signet_").unwrap_or(&name).to_owned();
        let mut advice = "";
        if let Value::Object(table) = value {
            advice = " Settings are not in tables";
            // `[jwt]` with `expires_in` means `jwt_expires_in`.
            if let Some(inner) = table.keys().next() {
                name = format!("{name}_{inner}");
            }
        }
        let similar = self.names().filter(|known| is_similar(&name, known));
        let hint = match closest(&name, similar) {
            Some(meant) => format!("did you mean {meant}?{advice}"),
            None => "`signet config sample` shows every setting".to_owned(),
        };
        self.errors
            .push(source.error_with_hint("unknown setting", &hint));
    }

    /// Sets a value from a variable or a flag.
    fn set_text(&mut self, setting: &Setting, text: &str, source: ValueSource) {
        let is_number = setting.is_numeric && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match text.parse::<u64>() {
            Ok(number) if is_number => number.into(),
            _ => text.into(),
        };
        self.set(setting, value, source);
    }

    /// Sets a value, or reports why the value is invalid.
    fn set(&mut self, setting: &Setting, value: Value, source: ValueSource) {
        match validate(setting, value) {
            Ok(value) => {
                self.values.insert(setting.name.clone(), value);
                self.sources.insert(setting.name.clone(), source);
            }
            Err(problem) => {
                self.rejected.insert(setting.name.clone());
                self.errors.push(source.error(problem));
            }
        }
    }

    fn check_mutually_exclusive(&mut self) {
        for [first, second] in MUTUALLY_EXCLUSIVE {
            let (Some(a), Some(b)) = (self.sources.get(first), self.sources.get(second)) else {
                continue;
            };
            let overridden = match (a.is_file(), b.is_file()) {
                (true, false) => first,
                (false, true) => second,
                _ => {
                    let message = format!("{} is also set", b.location());
                    self.errors
                        .push(a.error_with_hint(&message, "unset one of the two"));
                    continue;
                }
            };
            self.sources.remove(overridden);
            self.values.remove(overridden);
        }
    }

    fn check_required_together(&mut self) {
        for [given, missing] in REQUIRED_TOGETHER {
            let is_missing =
                !self.sources.contains_key(missing) && !self.rejected.contains(missing);
            if let Some(source) = self.sources.get(given).filter(|_| is_missing) {
                let message = format!("{missing} is not set");
                let error = source.error_with_hint(&message, "set both, or unset both");
                self.errors.push(error);
            }
        }
    }

    /// Checks settings against each other.
    fn check_settings(&mut self) {
        let Ok(settings) = parse(self.values.clone()) else {
            return;
        };
        if let Some(source @ ValueSource::Flag(_)) = self.sources.get("database_url")
            && settings.database_url.has_password()
        {
            self.errors.push(source.error_with_hint(
                "the URL contains a password, and other users of this machine can read flags",
                "set SIGNET_DATABASE_URL, or set the password in PGPASSWORD or ~/.pgpass",
            ));
        }
        if let Some(source) = self.sources.get("admin_listen")
            && settings.admin_listen.as_ref() == Some(&settings.listen)
            && !settings.listen.is_any_port()
        {
            let message = "the address is also the address for clients";
            self.errors
                .push(source.error_with_hint(message, "use another address"));
        }
    }
}

/// Returns the path of the file if a flag or variable names the file.
fn file_path(
    environment: &Environment,
    flags: &BTreeMap<String, String>,
) -> Result<Option<PathBuf>, ConfigError> {
    let variable = variable(CONFIG);
    let (source, path) = match (flags.get(CONFIG), environment.get(&variable)) {
        (Some(path), _) => (ValueSource::Flag(format!("--{CONFIG}")), Some(path)),
        (None, Some(path)) => (ValueSource::Variable(variable), path.as_ref()),
        (None, None) => return Ok(None),
    };
    let message = match path {
        Some(path) if !path.is_empty() => return Ok(Some(path.into())),
        Some(_) => "the value is empty",
        None => "the value is not UTF-8",
    };
    Err(source.error_with_hint(message, "set the path of a file, or unset the setting"))
}

fn parse(values: Map<String, Value>) -> Result<Settings, serde_json::Error> {
    serde_json::from_value(Value::Object(values))
}

/// Returns the value if it is valid.
fn validate(setting: &Setting, value: Value) -> Result<Value, Problem> {
    let value = match value {
        Value::String(text) if text.is_empty() => {
            return Err(
                Problem::new("the value is empty").hint("set a value, or unset the setting")
            );
        }
        Value::Array(items) if setting.is_list && items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            items.join(",").into()
        }
        other => other,
    };
    let values = Map::from_iter([(setting.name.clone(), value.clone())]);
    let Err(error) = parse(values) else {
        return Ok(value);
    };
    // Secrets are not shown. A value with an `@` may be a URL with a password that was given for the wrong setting.
    let text = value.to_string();
    let is_hidden = setting.may_contain_secrets() || text.contains('@');
    let cause = if !value.is_string() && !setting.is_numeric {
        Some("not a string in quotes".to_owned())
    } else if setting.is_numeric && error.to_string().starts_with("invalid type") {
        Some("not a whole number".to_owned())
    } else if setting.is_numeric && error.to_string().starts_with("invalid value: integer") {
        Some("the number is too small or too large".to_owned())
    } else if is_hidden && setting.name != "public_url" {
        // Errors may quote the value. Errors of `PublicUrl` do not.
        None
    } else {
        Some(error.to_string())
    };
    let shown = if is_hidden { "" } else { &format!(" {text}") };
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    let default = setting.default.as_ref();
    let default = default.map_or_else(String::new, |default| format!(" (default {default})"));
    let hint = format!("{}: {}{default}", setting.name, setting.description);
    Err(Problem::new(format!("invalid value{shown}{cause}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ConfigError, LoadedConfig, load, settings};

    /// Replaces the configuration file of this machine.
    const NO_FILE: [(&str, &str); 1] = [("SIGNET_CONFIG", "/dev/null")];

    fn with_hint(error: &ConfigError) -> String {
        format!(
            "{error} ({})",
            error.problem.hint.as_deref().unwrap_or_default()
        )
    }

    fn flags(pairs: &[(&str, &str)]) -> Result<LoadedConfig, Vec<ConfigError>> {
        let flags = [("config", "/dev/null")].iter().chain(pairs);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&BTreeMap::new(), &flags.collect())
    }

    fn variables(pairs: &[(&str, &str)]) -> Result<LoadedConfig, String> {
        let pairs = pairs.iter().chain(&NO_FILE);
        let environment = pairs
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        load(&environment, &BTreeMap::new()).map_err(|errors| {
            let lines: Vec<_> = errors.iter().map(with_hint).collect();
            lines.join("\n")
        })
    }

    #[test]
    fn settings_without_a_value_have_their_default() {
        let config = variables(&[("PATH", "/bin")]).unwrap();
        assert_eq!(config.settings.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.settings.jwt_expires_in.get(), 3600);
        assert_eq!(config.settings.jwt_refresh_window.get(), 604_800);
        assert!(
            settings()
                .iter()
                .all(|setting| !setting.description.is_empty())
        );
    }

    #[test]
    fn flag_overrides_environment() {
        let environment = BTreeMap::from([("SIGNET_LOG".to_owned(), Some("debug".to_owned()))]);
        let flags = ["log", "config"].into_iter().zip(["warn", "/dev/null"]);
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = flags.collect();
        assert_eq!(
            load(&environment, &flags).unwrap().settings.log,
            "warn".to_owned().try_into().unwrap()
        );
    }

    #[test]
    fn database_password_is_rejected_in_a_flag_and_never_printed() {
        let url = "postgres://signet:hunter2@db/signet";
        let settings = variables(&[("SIGNET_DATABASE_URL", url)]).unwrap().settings;
        assert_eq!(settings.database_url.as_str(), url);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let flag = |url: &str| flags(&[("database_url", url)]);
        for url in [url, "postgres://db/signet?user=x&password=hunter2"] {
            let error = with_hint(&flag(url).unwrap_err()[0]);
            assert!(
                error.contains("PGPASSWORD") && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(flag("postgres://signet@db/signet").is_ok());
    }

    #[test]
    fn all_invalid_values_are_reported_together() {
        let errors = variables(&[
            ("SIGNET_LISTEN", "8000"),
            ("SIGNET_JWT_EXPIRES_IN", "0"),
            ("SIGNET_JWT_REFRESH_WINDOW", "-1"),
            ("SIGNET_ARGON2_MEMORY_KIB", "much"),
            ("SIGNET_LOG", ""),
        ])
        .unwrap_err();
        assert_eq!(errors.lines().count(), 5, "{errors}");
        for name in [
            "SIGNET_LISTEN",
            "EXPIRES_IN",
            "REFRESH_WINDOW",
            "MEMORY_KIB",
            "SIGNET_LOG",
        ] {
            assert!(errors.contains(name), "{errors}");
        }
    }

    #[test]
    fn misspelled_variable_is_an_error_and_unknown_variable_is_not() {
        let errors = variables(&[("SIGNET_JWT_SECRETS", "x")]).unwrap_err();
        assert!(
            errors.contains("did you mean SIGNET_JWT_SECRET?"),
            "{errors}"
        );
        for name in [
            "DATABASE_URI",
            "DATABASE",
            "SECRET",
            "LOG_LEVEL",
            "EXPIRES_IN",
            "LISTEN_",
            "CONFIG_FILE",
        ] {
            assert!(
                variables(&[(&format!("SIGNET_{name}"), "x")]).is_err(),
                "{name}"
            );
        }
        for (name, meant) in [
            ("JWT_SECRET_FILES", "JWT_SECRET_FILE"),
            ("JWT_PREVIOUS_SECRETS_FILES", "JWT_PREVIOUS_SECRETS_FILE"),
            ("THROTTLE_ADRESS", "THROTTLE_ADDRESS"),
            ("CONFIG_FILE", "CONFIG"),
        ] {
            let errors = variables(&[(&format!("SIGNET_{name}"), "x")]).unwrap_err();
            let question = format!("did you mean SIGNET_{meant}?");
            assert!(errors.contains(&question), "{errors}");
        }
        let injected = [
            ("SIGNET_CONFIG_HASH", "x"),
            ("SIGNET_SERVICE_HOST", "10.0.0.1"),
            ("SIGNET_SERVICE_PORT", "8000"),
            ("SIGNET_PORT", "tcp://10.0.0.1:8000"),
            ("SIGNET_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ];
        assert_eq!(
            variables(&injected).unwrap().unknown_variables.len(),
            injected.len()
        );
    }

    #[test]
    fn value_that_is_not_utf_8_is_rejected() {
        let environment = BTreeMap::from([("SIGNET_JWT_SECRET".to_owned(), None)]);
        let no_file = BTreeMap::from([("config".to_owned(), "/dev/null".to_owned())]);
        let errors = load(&environment, &no_file).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "SIGNET_JWT_SECRET: the value is not UTF-8"
        );
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let config =
            variables(&[("SIGNET_JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-")]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let both = [
            ("SIGNET_JWT_SECRET", "hunter2"),
            ("SIGNET_JWT_SECRET_FILE", "f"),
        ];
        assert!(!variables(&both).unwrap_err().contains("hunter2"));
    }
}
