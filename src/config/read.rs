//! How settings are read: from a file, the environment and flags, with every problem told at once.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::Value;

use super::{Setting, Settings, as_map, layers::Reading, secret::MASK, settings};

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable, the flag, or the place in the file.
    pub name: String,
    /// Whether it was given on the command line.
    pub flag: bool,
    pub(super) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.what)
    }
}

/// What was read: the settings, and the variables that may have been meant as one.
#[derive(Clone, Debug)]
pub struct Read {
    /// The settings.
    pub settings: Settings,
    /// Where each that is not the default was given: a line of the file, a variable or a flag.
    pub sources: BTreeMap<String, String>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// `SIGNET_*` variables that are no setting and do not look like one.
    pub unknown: Vec<String>,
}

/// A setting in force, for whoever may look on.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its value, if it has one; a secret is masked.
    pub value: Option<Value>,
    /// Where it was given, if it is not the default.
    pub source: Option<String>,
}

impl Read {
    /// Every setting, in the order of the fields.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let values = as_map(&self.settings);
        let shown = |setting: Setting| {
            let value = match &values[&setting.name] {
                Value::Null => None,
                _ if setting.secret => Some(MASK.into()),
                _ if setting.name == "database_url" => {
                    Some(self.settings.database_url.masked().into())
                }
                value => Some(value.clone()),
            };
            let source = self.sources.get(&setting.name).cloned();
            Shown {
                name: setting.name,
                value,
                source,
            }
        };
        settings().into_iter().map(shown).collect()
    }
}

/// The environment by name; a value that is not UTF-8 is none.
pub type Environment = BTreeMap<String, Option<String>>;

/// The environment, as the process got it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one home of the environment")]
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
        .collect()
}

/// Reads the settings from a file, an environment and flags, of which a later one wins. The flags, by the
/// name of the setting, or the environment (`SIGNET_CONFIG`) name the file, as `config`.
///
/// # Errors
/// With every problem at once.
pub fn read(
    environment: &Environment,
    flags: &BTreeMap<String, String>,
) -> Result<Read, Vec<Problem>> {
    let mut reading = Reading::default();
    let file = reading.file(environment, flags);
    reading.environment(environment);
    reading.flags(flags);
    reading.conflicts();
    if !reading.problems.is_empty() {
        return Err(reading.problems);
    }
    Ok(reading.into_read(file))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Problem, Read, read, settings};

    /// What this machine is set up with is nothing to these tests.
    const NO_FILE: [(&str, &str); 1] = [("SIGNET_CONFIG", "/dev/null")];

    fn flags(pairs: &[(&str, &str)]) -> Result<Read, Vec<Problem>> {
        let flags = [("config", "/dev/null")].iter().chain(pairs);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        read(&BTreeMap::new(), &flags.collect())
    }

    fn from(pairs: &[(&str, &str)]) -> Result<Read, String> {
        let pairs = pairs.iter().chain(&NO_FILE);
        let environment = pairs
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        read(&environment, &BTreeMap::new()).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
    }

    #[test]
    fn the_defaults_stand_where_nothing_is_set() {
        let read = from(&[("PATH", "/bin")]).unwrap();
        assert_eq!(read.settings.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(read.settings.jwt_expires_in.get(), 3600);
        assert_eq!(read.settings.jwt_refresh_window.get(), 604_800);
        assert!(settings().iter().all(|setting| !setting.about.is_empty()));
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let environment = BTreeMap::from([("SIGNET_LOG".to_owned(), Some("debug".to_owned()))]);
        let flags = ["log", "config"].into_iter().zip(["warn", "/dev/null"]);
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = flags.collect();
        assert_eq!(
            read(&environment, &flags).unwrap().settings.log,
            "warn".to_owned().try_into().unwrap()
        );
    }

    #[test]
    fn a_password_is_no_flag_and_does_not_print_itself() {
        let url = "postgres://signet:hunter2@db/signet";
        let settings = from(&[("SIGNET_DATABASE_URL", url)]).unwrap().settings;
        assert_eq!(settings.database_url.as_str(), url);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let flag = |url: &str| flags(&[("database_url", url)]);
        for url in [url, "postgres://db/signet?user=x&password=hunter2"] {
            let problem = flag(url).unwrap_err()[0].to_string();
            assert!(
                problem.contains("PGPASSWORD") && !problem.contains("hunter2"),
                "{problem}"
            );
        }
        assert!(flag("postgres://signet@db/signet").is_ok());
    }

    #[test]
    fn every_bad_value_is_named_at_once() {
        let problems = from(&[
            ("SIGNET_LISTEN", "8000"),
            ("SIGNET_JWT_EXPIRES_IN", "0"),
            ("SIGNET_JWT_REFRESH_WINDOW", "-1"),
            ("SIGNET_ARGON2_MEMORY_KIB", "much"),
            ("SIGNET_LOG", ""),
        ])
        .unwrap_err();
        assert_eq!(problems.lines().count(), 5, "{problems}");
        for name in [
            "SIGNET_LISTEN",
            "EXPIRES_IN",
            "REFRESH_WINDOW",
            "MEMORY_KIB",
            "SIGNET_LOG",
        ] {
            assert!(problems.contains(name), "{problems}");
        }
    }

    #[test]
    fn a_near_miss_stops_and_an_unknown_name_does_not() {
        let problems = from(&[("SIGNET_JWT_SECRETS", "x")]).unwrap_err();
        assert!(
            problems.contains("did you mean SIGNET_JWT_SECRET?"),
            "{problems}"
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
            assert!(from(&[(&format!("SIGNET_{name}"), "x")]).is_err(), "{name}");
        }
        for (name, meant) in [
            ("JWT_SECRET_FILES", "JWT_SECRET_FILE"),
            ("JWT_PREVIOUS_SECRETS_FILES", "JWT_PREVIOUS_SECRETS_FILE"),
            ("THROTTLE_ADRESS", "THROTTLE_ADDRESS"),
            ("CONFIG_FILE", "CONFIG"),
        ] {
            let problems = from(&[(&format!("SIGNET_{name}"), "x")]).unwrap_err();
            let asked = format!("did you mean SIGNET_{meant}?");
            assert!(problems.contains(&asked), "{problems}");
        }
        let injected = [
            ("SIGNET_CONFIG_HASH", "x"),
            ("SIGNET_SERVICE_HOST", "10.0.0.1"),
            ("SIGNET_SERVICE_PORT", "8000"),
            ("SIGNET_PORT", "tcp://10.0.0.1:8000"),
            ("SIGNET_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ];
        assert_eq!(from(&injected).unwrap().unknown.len(), injected.len());
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_not_replaced_by_another() {
        let environment = BTreeMap::from([("SIGNET_JWT_SECRET".to_owned(), None)]);
        let no_file = BTreeMap::from([("config".to_owned(), "/dev/null".to_owned())]);
        let problems = read(&environment, &no_file).unwrap_err();
        assert_eq!(problems[0].to_string(), "SIGNET_JWT_SECRET is not UTF-8");
    }

    #[test]
    fn a_secret_never_prints() {
        let read = from(&[("SIGNET_JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-")]).unwrap();
        assert!(!format!("{read:?}").contains("hunter2"));
        let both = [
            ("SIGNET_JWT_SECRET", "hunter2"),
            ("SIGNET_JWT_SECRET_FILE", "f"),
        ];
        assert!(!from(&both).unwrap_err().contains("hunter2"));
    }
}
