//! Which setting was meant by a name that is none.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CONFIG, PREFIX, Setting, layers::file_variable};

/// The variable that one of this name was meant as, if it is like one: of several, the one most like it. Others may have put
/// variables there with our prefix: Kubernetes does.
pub(super) fn variable(name: &str, known: &[Setting]) -> Option<String> {
    let file = file_variable();
    if ["_FILE", "_PATH"]
        .iter()
        .any(|end| name == format!("{file}{end}"))
        || is_slip(name, &file)
    {
        return Some(file);
    }
    let variables = known.iter().map(Setting::variable);
    let like = variables.filter(|known| is_near_miss(name, known));
    like.min_by_key(|known| strsim::damerau_levenshtein(name, known))
}

/// The setting that a key of the file was meant as: the one most like it. Nobody else writes there.
pub(super) fn key<'a>(key: &str, value: &Value, known: &'a [Setting]) -> &'a str {
    // The name of its variable or flag, perhaps.
    let plain = key.to_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("signet_").unwrap_or(&plain);
    // `[jwt]` with `expires_in`.
    let inner = value.as_object().and_then(|table| table.keys().next());
    let plain = inner.map_or_else(|| plain.to_owned(), |inner| format!("{plain}_{inner}"));
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(&plain, &setting.name);
    let nearest = known.iter().min_by_key(distance);
    nearest.map_or(CONFIG, |setting| &setting.name)
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
    is_slip(name, known) || given.is_subset(&wanted) || wanted.is_subset(&given)
}

fn is_slip(name: &str, known: &str) -> bool {
    let length = known.len() - PREFIX.len();
    strsim::damerau_levenshtein(name, known) <= 1 + length / 6
}
