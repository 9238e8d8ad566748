//! Suggests the setting that a misspelled name means.

use std::collections::BTreeSet;

/// Returns the known name that is closest to `name`.
pub(super) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(name, known);
    known.into_iter().min_by_key(distance)
}

/// Whether `name` differs from `known` by a few letters.
pub(super) fn is_typo(name: &str, known: &str) -> bool {
    let max_distance = 1 + known.len() / 6;
    strsim::damerau_levenshtein(name, known) <= max_distance
}

/// Whether `name` and `known` differ in at most half of the letters of the longer name.
pub(super) fn is_similar(name: &str, known: &str) -> bool {
    strsim::normalized_damerau_levenshtein(name, known) >= 0.5
}

/// Whether `name` has the words of `known`, and further words, or only some of the words. Words are separated by `_`.
pub(super) fn has_more_or_fewer_words(name: &str, known: &str) -> bool {
    let words = |name: &'_ str| name.split('_').map(str::to_owned).collect::<BTreeSet<_>>();
    let (name, known) = (words(name), words(known));
    name.is_subset(&known) || known.is_subset(&name)
}
