//! The changelog keeps up with the contract.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use serde_json::Value;

const CHANGELOG: &str = include_str!("../../../openapi/CHANGELOG.md");

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The sections, newest first: their headings, and what they tell.
fn sections() -> Vec<(&'static str, &'static str)> {
    let sections = CHANGELOG.split("\n## [").skip(1);
    sections.map(|it| it.split_once('\n').unwrap()).collect()
}

#[test]
fn the_newest_release_is_the_released_document() {
    let released = document(include_str!("../../../openapi/released/openapi.json"));
    let version = released["info"]["version"].as_str().unwrap();
    let (heading, told) = sections()[1];
    assert!(heading.starts_with(&format!("{version}] - ")), "{heading}");
    assert!(told.contains("\n- "));
}

#[test]
fn what_is_not_released_is_told() {
    let released = document(include_str!("../../../openapi/released/openapi.json"));
    let current = document(include_str!("../../../openapi/openapi.json"));
    let (heading, told) = sections()[0];
    assert_eq!(heading, "Unreleased]");
    assert_eq!(
        told.contains("\n- "),
        released != current,
        "openapi/CHANGELOG.md tells under Unreleased what changed since the release, if anything did"
    );
}
