//! The layers that settings come from, one over the other, and what is wrong with each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde_json::{Map, Value};

use super::{
    PREFIX, Setting, Settings, as_map,
    file::File,
    meant,
    read::{Environment, Problem, Read},
    settings,
    value::PublicUrl,
};

/// Two ways of giving the same thing. One in the environment or as a flag wins over the other in the file; whoever gives both
/// otherwise must say which.
const EITHER: [[&str; 2]; 2] = [
    ["jwt_secret", "jwt_secret_file"],
    ["jwt_previous_secrets", "jwt_previous_secrets_file"],
];

/// What was read so far.
pub(super) struct Reading {
    known: Vec<Setting>,
    /// The settings, of which each would do.
    values: Map<String, Value>,
    origins: BTreeMap<String, Origin>,
    /// The settings of which a value was refused.
    refused: BTreeSet<String>,
    unknown: Vec<String>,
    pub(super) problems: Vec<Problem>,
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
    pub(super) fn file(
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

    pub(super) fn environment(&mut self, environment: &Environment) {
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

    pub(super) fn flags(&mut self, flags: &BTreeMap<String, String>) {
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
    pub(super) fn conflicts(&mut self) {
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

    /// What was read of it, when nothing is wrong with it.
    pub(super) fn into_read(self, file: Option<PathBuf>) -> Read {
        let settings = from_map(self.values)
            .unwrap_or_else(|error| unreachable!("each of them was read: {error}"));
        let origins = self.origins.into_iter();
        Read {
            settings,
            sources: origins
                .map(|(name, origin)| (name, origin.source()))
                .collect(),
            file,
            unknown: self.unknown,
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
    let is_hidden = setting.may_hold_secrets() || has_user;
    let shown = if is_hidden {
        "its value".to_owned()
    } else {
        given.to_string()
    };
    let is_text = given.is_string() || setting.numeric;
    let error = match (is_text, is_hidden) {
        (false, _) => "it is a text, which stands in quotes".to_owned(),
        (true, true) => match given.as_str().map(PublicUrl::parse) {
            Some(Err(cause)) if setting.name == "public_url" => cause,
            _ => "it is of another kind".to_owned(),
        },
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
