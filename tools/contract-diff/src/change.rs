//! A change and its severity.

use std::fmt;

use serde_json::Value;

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

impl Verdict {
    pub(crate) const ALL: [Self; 3] = [Self::Breaking, Self::Additive, Self::Documentation];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Breaking => "Breaking",
            Self::Additive => "Additive",
            Self::Documentation => "Documentation",
        })
    }
}

/// The changed thing.
#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// A part was added, removed or renamed, as the text says.
    Part(String),
    /// The value of a field changed.
    Field(Values),
    /// A text for people changed.
    Prose(Values),
}

/// The name of a field, its released value, and its current value.
#[derive(Debug, PartialEq)]
pub(crate) struct Values {
    pub(crate) key: String,
    pub(crate) was: Option<Value>,
    pub(crate) is: Option<Value>,
}

impl From<String> for What {
    fn from(text: String) -> Self {
        Self::Part(text)
    }
}

impl From<&str> for What {
    fn from(text: &str) -> Self {
        Self::Part(text.to_owned())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(text) => f.write_str(text),
            Self::Field(Values { key, was, is }) => {
                let show =
                    |it: &Option<Value>| it.as_ref().map_or("absent".into(), Value::to_string);
                write!(f, "{key} is {} (was {})", show(is), show(was))
            }
            Self::Prose(Values { key, .. }) => write!(f, "{key} changed"),
        }
    }
}

/// A change.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) verdict: Verdict,
    /// A JSON pointer, in the released document unless only the current one has the place.
    pub(crate) at: String,
    pub(crate) what: What,
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
pub(crate) fn place(pointer: &str) -> String {
    if let Some((operation, part)) = operation(pointer) {
        return format!("{operation} {part}").trim_end().to_owned();
    }
    if let Some(schema) = pointer.strip_prefix("#/components/schemas/") {
        return plain(&schema.replace("/properties/", ".").replace("/items", "[]"));
    }
    match pointer.strip_prefix("#/") {
        Some(part) => plain(part),
        None => "the document".to_owned(),
    }
}

/// Returns the operation or the path of a pointer, such as `POST /a/b/`, and its part, such as `responses 200`.
pub(crate) fn operation(pointer: &str) -> Option<(String, String)> {
    let parts: Vec<_> = pointer
        .strip_prefix("#/paths/")?
        .split('/')
        .map(plain)
        .collect();
    Some(match &parts[..] {
        [path, method, part @ ..] => (format!("{} {path}", method.to_uppercase()), part.join(" ")),
        path => (path.concat(), String::new()),
    })
}

/// Returns a part of a pointer without the escapes.
fn plain(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}
