//! The operations that use a component.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    change::{self, Change, below},
    rules::{METHODS, fields, reference, resolve},
};

/// The operations by the pointer of each component that they use.
pub(crate) struct Users(BTreeMap<String, BTreeSet<String>>);

impl Users {
    /// Reads the operations of all documents.
    pub(crate) fn of<const N: usize>(documents: [&Value; N]) -> Self {
        let mut users = Self(BTreeMap::new());
        for document in documents {
            for (path, _, item) in fields(None, document.get("paths")) {
                for (method, _, operation) in fields(None, item) {
                    let Some(operation) = operation.filter(|_| METHODS.contains(&method)) else {
                        continue;
                    };
                    let mut used = BTreeSet::new();
                    components(document, operation, &mut used);
                    let at = below(&below("#/paths", path), method);
                    users.insert(&at, used);
                }
            }
        }
        users
    }

    fn insert(&mut self, at: &str, used: BTreeSet<&str>) {
        let Some((operation, _)) = change::operation(at) else {
            return;
        };
        for component in used {
            let operations = self.0.entry(component.to_owned()).or_default();
            operations.insert(operation.clone());
        }
    }

    /// Returns the operations that a change affects: its operation, or the operations that use its component.
    pub(crate) fn of_change(&self, change: &Change) -> BTreeSet<String> {
        let own = change::operation(&change.at).map(|(operation, _)| operation);
        let used = self.0.iter().filter(|(at, _)| change.is_within(at));
        let users = used.flat_map(|(_, operations)| operations.iter().cloned());
        own.into_iter().chain(users).collect()
    }
}

/// Collects the pointers of all components that `value` refers to.
fn components<'a>(document: &'a Value, value: &'a Value, found: &mut BTreeSet<&'a str>) {
    if let Some(reference) = reference(value)
        && found.insert(reference)
    {
        components(document, resolve(document, value), found);
    }
    match value {
        Value::Object(fields) => fields
            .values()
            .for_each(|it| components(document, it, found)),
        Value::Array(list) => list.iter().for_each(|it| components(document, it, found)),
        _ => {}
    }
}
