//! How settings are read: from the environment and from flags, with every problem told at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::{PREFIX, Setting, Settings, as_map, settings};

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable or the flag.
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
    /// `SIGNET_*` variables that are no setting and do not look like one.
    pub unknown: Vec<String>,
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

/// Reads the settings from an environment and from flags, by the name of the setting.
///
/// # Errors
/// With every problem at once.
pub fn read(
    environment: &Environment,
    flags: &BTreeMap<String, String>,
) -> Result<Read, Vec<Problem>> {
    let known = settings();
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    for setting in &known {
        let variable = setting.variable();
        let (name, flag, given) = match (flags.get(&setting.name), environment.get(&variable)) {
            (Some(value), _) => (format!("--{}", setting.flag()), true, Some(value)),
            (None, Some(value)) => (variable, false, value.as_ref()),
            (None, None) => continue,
        };
        match given.map_or(Err("is not UTF-8".to_owned()), |given| {
            with(&settings, setting, given)
        }) {
            Ok(changed) => settings = changed,
            Err(what) => problems.push(Problem { name, flag, what }),
        }
    }
    let mut unknown = Vec::new();
    for name in environment.keys().filter(|name| name.starts_with(PREFIX)) {
        if known.iter().any(|setting| setting.variable() == *name) {
            continue;
        }
        match known
            .iter()
            .find(|setting| is_near_miss(name, &setting.variable()))
        {
            Some(setting) => problems.push(Problem {
                name: name.clone(),
                flag: false,
                what: format!("is not a setting: did you mean {}?", setting.variable()),
            }),
            None => unknown.push(name.clone()),
        }
    }
    for (name, both) in [
        (
            "SIGNET_JWT_SECRET",
            settings.jwt_secret.is_some() && settings.jwt_secret_file.is_some(),
        ),
        (
            "SIGNET_JWT_PREVIOUS_SECRETS",
            settings.jwt_previous_secrets.is_some() && settings.jwt_previous_secrets_file.is_some(),
        ),
    ] {
        if both {
            problems.push(Problem {
                name: name.to_owned(),
                flag: false,
                what: format!("and {name}_FILE are both set: unset one of them"),
            });
        }
    }
    if flags.contains_key("database_url") && settings.database_url.has_password() {
        problems.push(Problem {
            name: "--database-url".to_owned(),
            flag: true,
            what: "holds a password, which other users of this machine can read there: set SIGNET_DATABASE_URL, \
                   or give the password in PGPASSWORD or ~/.pgpass"
                .to_owned(),
        });
    }
    if problems.is_empty() {
        Ok(Read { settings, unknown })
    } else {
        Err(problems)
    }
}

/// The same settings with one of them changed, or why its value does not do.
fn with(settings: &Settings, setting: &Setting, given: &str) -> Result<Settings, String> {
    if given.is_empty() {
        return Err("is set, but empty: give it a value, or unset it".to_owned());
    }
    let value = match given.parse::<u64>() {
        Ok(number) if setting.numeric => Value::from(number),
        _ => Value::from(given),
    };
    let mut map = as_map(settings);
    map.insert(setting.name.clone(), value);
    serde_json::from_value(Value::Object(map)).map_err(|error| {
        let shown = if setting.secret {
            "its value".to_owned()
        } else {
            format!("{given:?}")
        };
        let default = setting
            .default
            .as_ref()
            .map(|default| format!(", such as {default}"));
        format!(
            "cannot be {shown}: {error}. It is: {}{}",
            setting.about,
            default.unwrap_or_default()
        )
    })
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

    use super::{Read, read, settings};

    fn from(pairs: &[(&str, &str)]) -> Result<Read, String> {
        let environment = pairs
            .iter()
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
        assert_eq!(read.settings.jwt_refresh_window, 604_800);
        assert!(settings().iter().all(|setting| !setting.about.is_empty()));
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let environment = BTreeMap::from([("SIGNET_LOG".to_owned(), Some("debug".to_owned()))]);
        let flags = BTreeMap::from([("log".to_owned(), "warn".to_owned())]);
        assert_eq!(read(&environment, &flags).unwrap().settings.log, "warn");
    }

    #[test]
    fn a_password_is_no_flag_and_does_not_print_itself() {
        let url = "postgres://signet:hunter2@db/signet";
        let settings = from(&[("SIGNET_DATABASE_URL", url)]).unwrap().settings;
        assert_eq!(settings.database_url.as_str(), url);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let flag = |url: &str| {
            let flags = BTreeMap::from([("database_url".to_owned(), url.to_owned())]);
            read(&BTreeMap::new(), &flags)
        };
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
        let problems = read(&environment, &BTreeMap::new()).unwrap_err();
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
