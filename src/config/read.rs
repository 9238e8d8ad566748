//! How settings are read: from a file, the environment and flags, with every problem told at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde_json::{Map, Value};

use super::{PREFIX, Setting, Settings, as_map, file::File, settings, value::MASK};

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable, the flag, or the place in the file.
    pub name: String,
    /// Whether it was given on the command line.
    pub flag: bool,
    what: String,
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
    let settings = from_map(reading.values)
        .unwrap_or_else(|error| unreachable!("each of them was read: {error}"));
    Ok(Read {
        settings,
        sources: reading.sources,
        file,
        unknown: reading.unknown,
    })
}

/// What was read so far.
struct Reading {
    known: Vec<Setting>,
    /// The settings, of which each would do.
    values: Map<String, Value>,
    sources: BTreeMap<String, String>,
    unknown: Vec<String>,
    problems: Vec<Problem>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            known: settings(),
            values: as_map(&Settings::default()),
            sources: BTreeMap::new(),
            unknown: Vec::new(),
            problems: Vec::new(),
        }
    }
}

impl Reading {
    fn file(
        &mut self,
        environment: &Environment,
        flags: &BTreeMap<String, String>,
    ) -> Option<PathBuf> {
        let variable = format!("{PREFIX}{}", CONFIG.to_uppercase());
        let named = match (flags.get(CONFIG), environment.get(&variable)) {
            (Some(path), _) | (None, Some(Some(path))) if !path.is_empty() => Some(path.into()),
            (None, None) => None,
            (flag, _) => {
                let flag = flag.is_some();
                let name = if flag {
                    format!("--{CONFIG}")
                } else {
                    variable
                };
                self.refuse(name, flag, "names no file".to_owned());
                return None;
            }
        };
        let file = File::read(named)?;
        let path = file.path.display();
        for (line, what) in file.problems {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            self.refuse(format!("{path}{line}"), false, what);
        }
        for entry in file.entries {
            let place = format!("{path}:{}", entry.line);
            let name = format!("{place}: {}", entry.key);
            let known = self.known.iter().position(|it| it.name == entry.key);
            if let Some(setting) = known {
                self.take(setting, entry.value, name, place, false);
            } else {
                let what = unknown_key(&entry.key, &entry.value, &self.known);
                self.refuse(name, false, what);
            }
        }
        Some(file.path)
    }

    fn environment(&mut self, environment: &Environment) {
        for (name, value) in environment
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
        {
            if let Some(setting) = self
                .known
                .iter()
                .position(|setting| setting.variable() == *name)
            {
                match value {
                    Some(value) => self.take(
                        setting,
                        value.as_str().into(),
                        name.clone(),
                        name.clone(),
                        false,
                    ),
                    None => self.refuse(name.clone(), false, "is not UTF-8".to_owned()),
                }
                continue;
            }
            let mut variables = self.known.iter().map(Setting::variable);
            match variables.find(|known| is_near_miss(name, known)) {
                Some(meant) => {
                    let what = format!("is not a setting: did you mean {meant}?");
                    self.refuse(name.clone(), false, what);
                }
                None if *name == format!("{PREFIX}{}", CONFIG.to_uppercase()) => {}
                None => self.unknown.push(name.clone()),
            }
        }
    }

    fn flags(&mut self, flags: &BTreeMap<String, String>) {
        for at in 0..self.known.len() {
            let Some(value) = flags.get(&self.known[at].name) else {
                continue;
            };
            let flag = format!("--{}", self.known[at].flag());
            self.take(at, value.as_str().into(), flag.clone(), flag, true);
        }
    }

    /// Takes a value for a setting, if it would do.
    fn take(&mut self, at: usize, given: Value, name: String, source: String, flag: bool) {
        let setting = &self.known[at];
        match with(&self.values, setting, given) {
            Ok(values) => {
                self.values = values;
                self.sources.insert(setting.name.clone(), source);
            }
            Err(what) => self.refuse(name, flag, what),
        }
    }

    fn refuse(&mut self, name: String, flag: bool, what: String) {
        self.problems.push(Problem { name, flag, what });
    }

    /// What does by itself, and not with what else is set.
    fn conflicts(&mut self) {
        for (one, other) in [
            ("jwt_secret", "jwt_secret_file"),
            ("jwt_previous_secrets", "jwt_previous_secrets_file"),
        ] {
            if let (Some(one), Some(other)) = (self.place(one), self.place(other)) {
                let what = format!("and {other} are both set: unset one of them");
                self.refuse(one, false, what);
            }
        }
        for (given, missing) in [
            ("tls_certificate", "tls_key"),
            ("tls_key", "tls_certificate"),
        ] {
            if let (Some(given), None) = (self.place(given), self.place(missing)) {
                let what = format!("needs {missing} beside it: set both, or none");
                self.refuse(given, false, what);
            }
        }
        let flag = "--database-url";
        let settings = from_map(self.values.clone());
        if settings.is_ok_and(|settings| settings.database_url.has_password())
            && self
                .place("database_url")
                .is_some_and(|place| place == flag)
        {
            let what = "holds a password, which other users of this machine can read there: set SIGNET_DATABASE_URL, \
                        or give the password in PGPASSWORD or ~/.pgpass";
            self.refuse(flag.to_owned(), true, what.to_owned());
        }
    }

    /// How a setting was given, if it was.
    fn place(&self, name: &str) -> Option<String> {
        let source = self.sources.get(name)?;
        // A line of the file, which may have more than one key.
        Some(if source.contains(':') {
            format!("{source}: {name}")
        } else {
            source.clone()
        })
    }
}

/// The name, among flags and variables, of the file.
pub const CONFIG: &str = "config";

fn from_map(values: Map<String, Value>) -> Result<Settings, serde_json::Error> {
    serde_json::from_value(Value::Object(values))
}

/// The same values with one of them changed, or why it does not do.
fn with(
    values: &Map<String, Value>,
    setting: &Setting,
    given: Value,
) -> Result<Map<String, Value>, String> {
    let given = match given {
        Value::String(text) if text.is_empty() => {
            return Err("is set, but empty: give it a value, or unset it".to_owned());
        }
        Value::String(text) => match text.parse::<u64>() {
            Ok(number) if setting.numeric => number.into(),
            _ => Value::String(text),
        },
        Value::Array(items) if setting.list && items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            items.join(",").into()
        }
        other => other,
    };
    let mut changed = values.clone();
    changed.insert(setting.name.clone(), given.clone());
    let Err(error) = from_map(changed.clone()) else {
        return Ok(changed);
    };
    // Neither is shown of what may be a secret: the error quotes the value.
    let (shown, error) = if setting.secret || setting.name == "database_url" {
        ("its value".to_owned(), "it is not a text".to_owned())
    } else {
        (given.to_string(), error.to_string())
    };
    let default = setting
        .default
        .as_ref()
        .map(|default| format!(", such as {default}"));
    Err(format!(
        "cannot be {shown}: {error}. It is: {}{}",
        setting.about,
        default.unwrap_or_default()
    ))
}

/// What to say of a key that is no setting: which was meant.
fn unknown_key(key: &str, value: &Value, known: &[Setting]) -> String {
    // The name of its variable or flag, perhaps.
    let plain = key.to_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("signet_").unwrap_or(&plain);
    // `[jwt]` with `expires_in`.
    let inner = value.as_object().and_then(|table| table.keys().next());
    let plain = inner.map_or_else(|| plain.to_owned(), |inner| format!("{plain}_{inner}"));
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(&plain, &setting.name);
    let nearest = known
        .iter()
        .min_by_key(distance)
        .map_or("listen", |setting| &setting.name);
    let table = if value.is_object() {
        ", and settings stand in no table"
    } else {
        ""
    };
    format!("is not a setting{table}: did you mean {nearest}?")
}

/// Whether `name` may well have been meant as `known`: a slip of the keyboard (the longer the name, the
/// more of it may be off), or a word too few or too many. What Kubernetes injects is neither.
fn is_near_miss(name: &str, known: &str) -> bool {
    let words = |name: &str| {
        name.split('_')
            .skip(1)
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let (given, wanted) = (words(name), words(known));
    if given.contains("PORT") || given.contains("SERVICE") {
        return false;
    }
    let length = known.len() - PREFIX.len();
    strsim::damerau_levenshtein(name, known) <= 1 + length / 6
        || given.is_subset(&wanted)
        || wanted.is_subset(&given)
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
        assert_eq!(read(&environment, &flags).unwrap().settings.log, "warn");
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
        ] {
            assert!(from(&[(&format!("SIGNET_{name}"), "x")]).is_err(), "{name}");
        }
        let injected = [
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
