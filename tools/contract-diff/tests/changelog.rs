//! The changelog lists the changes of the contract.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use serde_json::Value;

const CHANGELOG: &str = include_str!("../../../openapi/CHANGELOG.md");

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns the heading and the text of each section, newest first.
fn sections() -> Vec<(&'static str, &'static str)> {
    let sections = CHANGELOG.split("\n## [").skip(1);
    sections.map(|it| it.split_once('\n').unwrap()).collect()
}

#[test]
fn newest_release_has_the_version_of_the_released_document() {
    let released = document(include_str!("../../../openapi/released/openapi.json"));
    let version = released["info"]["version"].as_str().unwrap();
    let (heading, text) = sections()[1];
    assert!(heading.starts_with(&format!("{version}] - ")), "{heading}");
    assert!(text.contains("\n- "));
}

#[test]
fn unreleased_section_has_entries_only_if_the_document_changed() {
    let released = document(include_str!("../../../openapi/released/openapi.json"));
    let current = document(include_str!("../../../openapi/openapi.json"));
    let (heading, text) = sections()[0];
    assert_eq!(heading, "Unreleased]");
    assert_eq!(
        text.contains("\n- "),
        released != current,
        "openapi/CHANGELOG.md must list the changes since the release under Unreleased, and no entries if the document is unchanged"
    );
}
