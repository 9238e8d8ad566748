//! The report as a comment of a pull request, in GitHub Flavored Markdown.

use std::fmt::{Display, Formatter, Result};

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use crate::{
    change::{Change, Values, Verdict, What, operation, place},
    report::Report,
};

/// A report, and the name of the current document.
pub(crate) struct Comment<'a>(pub(crate) &'a Report, pub(crate) &'a str);

impl Display for Comment<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self(report, document) = self;
        let document = escape(document);
        if report.changes.is_empty() {
            return writeln!(f, "### {document}: no changes since {}", report.since());
        }
        let count = |verdict: Verdict| {
            let name = verdict.to_string().to_lowercase();
            format!("{} {name}", report.with(verdict).count())
        };
        let counts = Verdict::ALL.map(count).join(", ");
        writeln!(f, "### {document}: {counts}\n\n{}\n", report.conclusion())?;

        writeln!(
            f,
            "| Severity | Operation | Change | Rule |\n|---|---|---|---|"
        )?;
        for change in &report.changes {
            let operations: Vec<_> = report
                .users
                .of_change(change)
                .iter()
                .map(|it| code(it))
                .collect();
            let what = match &change.what {
                What::Part(text) => escape(text),
                What::Field(values) | What::Prose(values) => {
                    format!("{} changed", code(&values.key))
                }
            };
            let (verdict, why) = (change.verdict, change.why);
            let cells = [
                verdict.to_string(),
                operations.join("<br>"),
                subject(change) + &what,
                escape(why),
            ];
            row(f, &cells)?;
        }

        // A schema in requests and responses can have the same change with two severities.
        let mut values: Vec<_> = report.changes.iter().map(old_and_new).collect();
        values.dedup();
        let rows = values.concat();
        if !rows.is_empty() {
            writeln!(f, "\n| Value | Released | Current |\n|---|---|---|")?;
            rows.iter().try_for_each(|cells| row(f, cells))?;
        }
        Ok(())
    }
}

fn row(f: &mut Formatter<'_>, cells: &[String]) -> Result {
    writeln!(f, "| {} |", cells.join(" | "))
}

/// Returns the changed part, without its operation.
fn subject(change: &Change) -> String {
    let part = operation(&change.at).map_or_else(|| place(&change.at), |(_, part)| part);
    if part.is_empty() {
        part
    } else {
        code(&part) + ": "
    }
}

/// Returns the rows with the old lines and the new lines of a value, as far as they differ, with a line of context.
fn old_and_new(change: &Change) -> Vec<[String; 3]> {
    let (values, prose) = match &change.what {
        What::Part(_) => return Vec::new(),
        What::Field(values) => (values, false),
        What::Prose(values) => (values, true),
    };
    let Values { key, was, is } = values;
    let (was, is) = (lines(was.as_ref(), prose), lines(is.as_ref(), prose));
    let groups = group_diff_ops(capture_diff_slices(Algorithm::Myers, &was, &is), 1);
    let mut rows = Vec::new();
    for group in &groups {
        if !rows.is_empty() {
            rows.push(["", "…", "…"].map(String::from));
        }
        rows.extend(group.iter().flat_map(|op| side_by_side(op, &was, &is)));
    }
    rows.retain(|[_, old, new]| !(old.is_empty() && new.is_empty()));
    if let Some([name, ..]) = rows.first_mut() {
        let at = place(&change.at);
        *name = format!("{}: {}", code(&at), code(key));
    }
    rows
}

fn side_by_side(op: &DiffOp, was: &[String], is: &[String]) -> Vec<[String; 3]> {
    let (old, new) = (&was[op.old_range()], &is[op.new_range()]);
    let cell = |lines: &[String], index| lines.get(index).cloned().unwrap_or_default();
    (0..old.len().max(new.len()))
        .map(|index| [String::new(), cell(old, index), cell(new, index)])
        .collect()
}

/// Returns the lines of a value: the lines of a text, the elements of a list, or the lines of formatted JSON.
fn lines(value: Option<&Value>, prose: bool) -> Vec<String> {
    match value {
        None => vec!["absent".to_owned()],
        Some(Value::String(text)) if prose => text.lines().map(code).collect(),
        Some(Value::Array(list)) => list.iter().map(|it| code(&it.to_string())).collect(),
        Some(value) => format!("{value:#}").lines().map(code).collect(),
    }
}

/// Formats a text as code. In a table, renderers disagree about backticks, pipes and backslashes between backticks. A newline would end
/// the table.
fn code(text: &str) -> String {
    if text.trim().is_empty() {
        String::new()
    } else if text.contains(['|', '`', '\\', '\n', '\r']) {
        format!("<code>{}</code>", escape(text))
    } else {
        format!("`{text}`")
    }
}

/// Replaces newlines, and characters that have a meaning in Markdown or HTML.
fn escape(text: &str) -> String {
    let escape = |char: char| match char {
        '\n' | '\r' => " ".to_owned(),
        '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '@' => {
            format!("&#{};", u32::from(char))
        }
        char => char.to_string(),
    };
    text.chars().map(escape).collect()
}
