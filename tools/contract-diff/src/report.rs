//! The changes of a document, and whether clients of the release still work.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    change::{Change, Verdict},
    operations, rules,
    users::Users,
};

/// The changes between two documents, breaking changes first.
pub(crate) struct Report {
    released: Version,
    current: Version,
    pub(crate) changes: Vec<Change>,
    pub(crate) users: Users,
}

impl Report {
    pub(crate) fn of(released: &Value, current: &Value) -> Result<Self> {
        let users = Users::of([released, current]);
        let mut changes = rules::changes(released, current);
        changes.extend(operations::changes(released, current, &changes)?);
        if changes.is_empty() && released != current {
            changes.push(Change {
                verdict: Verdict::Breaking,
                at: "#".into(),
                what: "the document changed".into(),
                why: "No rule compares the changed part.",
            });
        }
        changes.sort_by_cached_key(|it| (it.verdict, it.at.clone(), it.what.to_string()));
        // A schema can have the same change for several media types.
        changes.dedup();
        let (released, current) = (
            Version::of(released, "released")?,
            Version::of(current, "current")?,
        );
        ensure!(
            current.major >= released.major,
            "the current version {1} is lower than the released version {0}",
            released.text,
            current.text
        );
        Ok(Self {
            released,
            current,
            changes,
            users,
        })
    }

    /// Returns whether a change is breaking and the major version is the same.
    pub(crate) fn fails(&self) -> bool {
        self.breaks() && self.current.major <= self.released.major
    }

    fn breaks(&self) -> bool {
        self.with(Verdict::Breaking).next().is_some()
    }

    /// Returns the version of the released document.
    pub(crate) fn since(&self) -> &str {
        &self.released.text
    }

    /// Returns the changes with a severity.
    pub(crate) fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Change> {
        let changes = self.changes.iter();
        changes.filter(move |change| change.verdict == verdict)
    }

    /// Returns the sentence about clients of the release.
    pub(crate) fn conclusion(&self) -> String {
        let (released, current) = (&self.released.text, &self.current.text);
        match (self.breaks(), self.fails()) {
            (false, _) => format!("Clients of {released} work with {current}."),
            (true, true) => format!(
                "Clients of {released} may fail, but {current} has the same major version. Increase the major version."
            ),
            (true, false) => {
                format!(
                    "Clients of {released} may fail. The new major version of {current} announces this."
                )
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "no change since {}", self.since());
        }
        for verdict in Verdict::ALL {
            if self.with(verdict).next().is_some() {
                writeln!(f, "{verdict}\n")?;
                self.with(verdict).try_for_each(|change| change.fmt(f))?;
                writeln!(f)?;
            }
        }
        writeln!(f, "{}", self.conclusion())
    }
}

/// The version of a document.
struct Version {
    text: String,
    major: u64,
}

impl Version {
    fn of(document: &Value, which: &str) -> Result<Self> {
        let text = document["info"]["version"].as_str().unwrap_or_default();
        let major = text.split('.').next().unwrap_or_default().parse();
        Ok(Self {
            text: text.to_owned(),
            major: major.with_context(|| {
                format!("the version of the {which} document, {text:?}, has no major version")
            })?,
        })
    }
}
