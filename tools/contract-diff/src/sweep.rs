//! Removes or changes every part of the released document, and expects the report to list the change with the right severity.

use serde_json::{Value, json};

use crate::{change::below, report::Report};

/// Fields that contain only texts.
const WORDS: [&str; 6] = [
    "deprecated",
    "description",
    "examples",
    "externalDocs",
    "summary",
    "title",
];

#[test]
fn every_change_is_reported() {
    let released: Value =
        serde_json::from_str(include_str!("../../../openapi/released/openapi.json")).unwrap();
    let mut parts = vec![(String::new(), false)];
    while let Some((pointer, in_words)) = parts.pop() {
        let part = released.pointer(&pointer).unwrap();
        for key in keys(part) {
            let pointer = below(&pointer, &key);
            let about = ["/info", "/tags"].contains(&pointer.as_str());
            let words = in_words || about || WORDS.contains(&key.as_str());
            for changed in changed(&released, &pointer) {
                judge(&released, &changed, &pointer, words);
            }
            parts.push((pointer, words));
        }
    }
}

fn judge(released: &Value, current: &Value, pointer: &str, words: bool) {
    // Invalid documents are not compared.
    let Ok(report) = Report::of(released, current) else {
        return;
    };
    let text = report.to_string();
    let expected = match (words, report.fails()) {
        (true, false) => "Documentation\n",
        (false, true) => "Breaking\n",
        (false, false) => "Additive\n",
        (true, true) => panic!("{pointer}: a text is never breaking\n{text}"),
    };
    assert!(text.starts_with(expected), "{pointer}: {text}");
}

fn keys(part: &Value) -> Vec<String> {
    match part {
        Value::Object(fields) => fields.keys().cloned().collect(),
        Value::Array(list) => (0..list.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// The document without a part, and with another in its place.
fn changed(document: &Value, pointer: &str) -> Vec<Value> {
    let (holder, key) = pointer.rsplit_once('/').unwrap();
    let mut struck = document.clone();
    match struck.pointer_mut(holder).unwrap() {
        Value::Object(fields) => drop(fields.remove(&key.replace("~1", "/"))),
        list => drop(list.as_array_mut().unwrap().remove(key.parse().unwrap())),
    }
    let mut altered = document.clone();
    let part = altered.pointer_mut(pointer).unwrap();
    *part = match part {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::Bool(flag) => json!(!*flag),
        _ => return vec![struck],
    };
    vec![struck, altered]
}
