//! A change and its severity.

use std::fmt;

/// The reason why a removal is breaking.
pub(crate) const GONE: &str = "A client may use the removed part.";
/// The reason why an addition is not breaking.
pub(crate) const UNKNOWN_BEFORE: &str = "A client that ignores the new part works as before.";

/// The severity of a change for the clients of the release, in decreasing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Some client may fail.
    Breaking,
    /// No client of the release notices.
    Additive,
    /// Only readers notice.
    Documentation,
}

/// A change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) verdict: Verdict,
    /// A JSON pointer, in the released document unless only the current one has the place.
    pub(crate) at: String,
    pub(crate) what: String,
    /// The reason of the verdict.
    pub(crate) why: &'static str,
}

impl Change {
    /// Returns whether the change is at the pointer `at`, or below it.
    pub(crate) fn is_within(&self, at: &str) -> bool {
        self.at
            .strip_prefix(at)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- {}: {}", place(&self.at), self.what)?;
        writeln!(f, "  {}", self.why)
    }
}

/// Returns the pointer to the `key` of `at`.
pub(crate) fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Formats a pointer for readers: `Token.expires_in`, or `POST /a/b/ responses 200`.
fn place(pointer: &str) -> String {
    let plain = |part: &str| part.replace("~1", "/").replace("~0", "~");
    if let Some(schema) = pointer.strip_prefix("#/components/schemas/") {
        return plain(&schema.replace("/properties/", ".").replace("/items", "[]"));
    }
    if let Some(operation) = pointer.strip_prefix("#/paths/") {
        let mut parts: Vec<_> = operation.split('/').map(plain).collect();
        if let [path, method, ..] = &mut parts[..] {
            *method = method.to_uppercase();
            std::mem::swap(path, method);
        }
        return parts.join(" ");
    }
    match pointer.strip_prefix("#/") {
        Some(part) => plain(part),
        None => "the document".to_owned(),
    }
}
