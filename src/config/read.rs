//! How settings are read: from a file, the environment and flags, with every problem told at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde_json::{Map, Value};

use super::{PREFIX, Setting, Settings, as_map, file::File, meant, settings, value::MASK};

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
    let origins = reading.origins.into_iter();
    Ok(Read {
        settings,
        sources: origins
            .map(|(name, origin)| (name, origin.source()))
            .collect(),
        file,
        unknown: reading.unknown,
    })
}

/// Two ways of giving the same thing. One in the environment or as a flag wins over the other in the file; whoever gives both
/// otherwise must say which.
const EITHER: [[&str; 2]; 2] = [
    ["jwt_secret", "jwt_secret_file"],
    ["jwt_previous_secrets", "jwt_previous_secrets_file"],
];

/// What was read so far.
struct Reading {
    known: Vec<Setting>,
    /// The settings, of which each would do.
    values: Map<String, Value>,
    origins: BTreeMap<String, Origin>,
    /// The settings of which a value was refused.
    refused: BTreeSet<String>,
    unknown: Vec<String>,
    problems: Vec<Problem>,
}

/// Where a setting was given.
#[derive(Clone)]
enum Origin {
    /// A line, and the key.
    File(String, String),
    Variable(String),
    Flag(String),
}

impl Origin {
    /// For whoever looks for it.
    fn source(self) -> String {
        match self {
            Self::File(source, _) | Self::Variable(source) | Self::Flag(source) => source,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(line, key) => write!(f, "{line}: {}", key.escape_debug()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            known: settings(),
            values: as_map(&Settings::default()),
            origins: BTreeMap::new(),
            refused: BTreeSet::new(),
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
        let flag = flags.get(CONFIG).map(|path| {
            let flag = Origin::Flag(format!("--{CONFIG}"));
            (flag, Some(path))
        });
        let variable = file_variable();
        let variable = environment
            .get(&variable)
            .map(|path| (Origin::Variable(variable), path.as_ref()));
        let named = match flag.or(variable) {
            None => None,
            Some((_, Some(path))) if !path.is_empty() => Some(path.into()),
            Some((origin, path)) => {
                let what = path.map_or("is not UTF-8", |_| "names no file");
                self.refuse(&origin, what);
                return None;
            }
        };
        let file = File::read(named)?;
        let path = file.path.display();
        for (line, what) in file.problems {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            self.problems.push(Problem {
                name: format!("{path}{line}"),
                flag: false,
                what,
            });
        }
        for entry in file.entries {
            let origin = Origin::File(format!("{path}:{}", entry.line), entry.key.clone());
            let known = self.known.iter().position(|it| it.name == entry.key);
            if let Some(setting) = known {
                self.take(setting, entry.value, origin);
                continue;
            }
            let meant = meant::key(&entry.key, &entry.value, &self.known);
            let table = if entry.value.is_object() {
                ", and settings stand in no table"
            } else {
                ""
            };
            let what = format!("is not a setting{table}: did you mean {meant}?");
            self.refuse(&origin, what);
        }
        Some(file.path)
    }

    fn environment(&mut self, environment: &Environment) {
        let file = file_variable();
        let ours = |name: &String| name.starts_with(PREFIX) && *name != file;
        for (name, value) in environment.iter().filter(|(name, _)| ours(name)) {
            let origin = Origin::Variable(name.clone());
            let known = self.known.iter().position(|it| it.variable() == *name);
            match (known, value) {
                (Some(setting), Some(text)) => self.take_text(setting, text, origin),
                (Some(_), None) => self.refuse(&origin, "is not UTF-8"),
                (None, _) => match meant::variable(name, &self.known) {
                    Some(meant) => {
                        let what = format!("is not a setting: did you mean {meant}? Or unset it");
                        self.refuse(&origin, what);
                    }
                    None => self.unknown.push(name.clone()),
                },
            }
        }
    }

    fn flags(&mut self, flags: &BTreeMap<String, String>) {
        for at in 0..self.known.len() {
            let setting = &self.known[at];
            if let Some(text) = flags.get(&setting.name) {
                let origin = Origin::Flag(format!("--{}", setting.flag()));
                self.take_text(at, text, origin);
            }
        }
    }

    /// Takes a value of which the text alone is known.
    fn take_text(&mut self, at: usize, text: &str, origin: Origin) {
        let is_number = self.known[at].numeric && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match text.parse::<u64>() {
            Ok(number) if is_number => number.into(),
            _ => text.into(),
        };
        self.take(at, value, origin);
    }

    /// Takes a value for a setting, if it would do.
    fn take(&mut self, at: usize, given: Value, origin: Origin) {
        let setting = &self.known[at];
        match with(&self.values, setting, given) {
            Ok(values) => {
                self.values = values;
                self.origins.insert(setting.name.clone(), origin);
            }
            Err(what) => {
                self.refused.insert(setting.name.clone());
                self.refuse(&origin, what);
            }
        }
    }

    fn refuse(&mut self, origin: &Origin, what: impl Into<String>) {
        self.problems.push(Problem {
            name: origin.to_string(),
            flag: matches!(origin, Origin::Flag(_)),
            what: what.into(),
        });
    }

    /// What does by itself, and not with what else is set.
    fn conflicts(&mut self) {
        let of = |origins: &BTreeMap<_, Origin>, name| origins.get(name).cloned();
        for [one, other] in EITHER {
            match (of(&self.origins, one), of(&self.origins, other)) {
                (Some(Origin::File(..)), Some(Origin::Variable(_) | Origin::Flag(_))) => {
                    self.forget(one);
                }
                (Some(Origin::Variable(_) | Origin::Flag(_)), Some(Origin::File(..))) => {
                    self.forget(other);
                }
                (Some(one), Some(other)) => {
                    self.refuse(&one, format!("and {other} are both set: unset one of them"));
                }
                _ => {}
            }
        }
        for (given, missing) in [
            ("tls_certificate", "tls_key"),
            ("tls_key", "tls_certificate"),
        ] {
            if let (Some(given), None) = (of(&self.origins, given), of(&self.origins, missing))
                && !self.refused.contains(missing)
            {
                let what = format!("needs {missing} beside it: set both, or none");
                self.refuse(&given, what);
            }
        }
        let Ok(settings) = from_map(self.values.clone()) else {
            return;
        };
        if let Some(origin @ Origin::Flag(_)) = of(&self.origins, "database_url")
            && settings.database_url.has_password()
        {
            let what = "holds a password, which other users of this machine can read there: set SIGNET_DATABASE_URL, \
                        or give the password in PGPASSWORD or ~/.pgpass";
            self.refuse(&origin, what);
        }
        if let Some(origin) = of(&self.origins, "admin_listen")
            && settings.admin_listen.as_ref() == Some(&settings.listen)
            && !settings.listen.is_any_port()
        {
            self.refuse(
                &origin,
                "is where clients are served: operators take another place",
            );
        }
    }

    /// Leaves a setting as if it was not given.
    fn forget(&mut self, name: &str) {
        self.origins.remove(name);
        self.values.insert(name.to_owned(), Value::Null);
    }
}

/// The variable that names the file.
pub(super) fn file_variable() -> String {
    format!("{PREFIX}{}", CONFIG.to_uppercase())
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
    // And so may be what stands before the host of a URL, wherever that was put.
    let has_user = given.to_string().contains('@');
    let is_hidden = setting.secret || setting.name == "database_url" || has_user;
    let shown = if is_hidden {
        "its value".to_owned()
    } else {
        given.to_string()
    };
    let is_text = given.is_string() || setting.numeric;
    let error = match (is_text, is_hidden) {
        (false, _) => "it is a text, which stands in quotes".to_owned(),
        (true, true) => "it is of another kind".to_owned(),
        (true, false) => error.to_string(),
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
