//! Changes that drift finds: added and removed operations, parameters, bodies and statuses.
//!
//! Of schemas, drift reports only that two schemas differ, and calls the change "unhandled". The rules judge such changes. A
//! difference that drift finds and no rule reports is breaking.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use drift::{ChangeClass, ChangeDetails, ChangeInfo, ChangePath};
use serde_json::{Map, Value};

use crate::change::{Change, GONE, UNKNOWN_BEFORE, Verdict};

/// Returns the changes that drift finds, except for the changes in `said`, which the rules found.
pub(crate) fn changes(released: &Value, current: &Value, said: &[Change]) -> Result<Vec<Change>> {
    let (mut released, mut current) = (released.clone(), current.clone());
    share_media_types(&mut released, &mut current);
    let seen = drift::compare(&released, &current).context("drift cannot compare the documents")?;
    Ok(seen
        .iter()
        .flat_map(|change| change.changes.iter().map(|info| (&change.paths[0], info)))
        .filter_map(|(path, info)| judge(at(path, info), info, said))
        .collect())
}

fn judge(at: String, info: &ChangeInfo, said: &[Change]) -> Option<Change> {
    let (verdict, why) = match (info.class, info.details) {
        // The rules report changed texts.
        (ChangeClass::Trivial, _) => return None,
        (class, ChangeDetails::UnknownDifference | ChangeDetails::Datatype) => {
            // A rule decides about unhandled changes. A rule cannot weaken a change that drift calls breaking.
            let settled =
                |it: &Change| class == ChangeClass::Unhandled || it.verdict == Verdict::Breaking;
            if said.iter().any(|it| it.is_within(&at) && settled(it)) {
                return None;
            }
            (
                Verdict::Breaking,
                "drift finds a difference that no rule reports.",
            )
        }
        // drift calls a removal compatible for servers, but clients may use the removed part.
        (_, ChangeDetails::Removed) => (Verdict::Breaking, GONE),
        (ChangeClass::ForwardIncompatible, _) => (Verdict::Additive, UNKNOWN_BEFORE),
        _ => (
            Verdict::Breaking,
            "A client that ignores the change may fail.",
        ),
    };
    Some(Change {
        verdict,
        at,
        what: info.message.clone().into(),
        why,
    })
}

/// Returns the pointer of a change that drift found.
fn at(path: &ChangePath, info: &ChangeInfo) -> String {
    // A new operation has no place in the released document.
    let (stack, rest) = match path.old.endpoint_base() {
        Some(_) => (&path.old, &info.old_subpath),
        None => (&path.new, &info.new_subpath),
    };
    let base = stack.current_pointer();
    match (rest.as_str(), rest.strip_prefix("request_body/")) {
        ("", _) => base.to_owned(),
        // drift has another name for `requestBody`.
        (_, Some(rest)) => format!("{base}/requestBody/{rest}"),
        (rest, None) => format!("{base}/{rest}"),
    }
}

/// Keeps only the media types that both documents have, because drift panics on other media types. The rules report other media types.
fn share_media_types(released: &mut Value, current: &mut Value) {
    let (Value::Object(was), Value::Object(is)) = (released, current) else {
        return;
    };
    let [old, new] = [&*was, &*is].map(media_types);
    for holder in [&mut *was, &mut *is] {
        if let Some(Value::Object(content)) = holder.get_mut("content") {
            content.retain(|media, _| old.get(media).is_some_and(|it| new.get(media) == Some(it)));
        }
    }
    for (key, was) in was {
        if let Some(is) = is.get_mut(key) {
            share_media_types(was, is);
        }
    }
}

/// The media types of a body, and whether each has a schema.
fn media_types(body: &Map<String, Value>) -> BTreeMap<String, bool> {
    let content = body.get("content").and_then(Value::as_object);
    content
        .into_iter()
        .flatten()
        .map(|(media, it)| (media.clone(), it.get("schema").is_some()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_password(schema: Value) -> Value {
        let mut document: Value =
            serde_json::from_str(include_str!("../../../openapi/released/openapi.json")).unwrap();
        document["components"]["schemas"]["ObtainRequest"]["properties"]["password"] = schema;
        document
    }

    fn said(verdict: Verdict) -> [Change; 1] {
        [Change {
            verdict,
            at: "#/components/schemas/ObtainRequest/properties/password".into(),
            what: "".into(),
            why: "",
        }]
    }

    #[test]
    fn difference_without_a_rule_is_breaking() {
        let released = of_password(json!({"type": "string"}));
        let current = of_password(json!({"type": "string", "maxLength": 64}));
        let [change] = &changes(&released, &current, &[]).unwrap()[..] else {
            panic!("one change, one finding");
        };
        assert_eq!(change.verdict, Verdict::Breaking);
        assert!(
            changes(&released, &current, &said(Verdict::Additive))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn rule_cannot_weaken_a_breaking_change() {
        let released = of_password(json!({"type": "string"}));
        let current = of_password(json!({"type": "integer"}));
        assert_eq!(
            changes(&released, &current, &said(Verdict::Additive))
                .unwrap()
                .len(),
            1
        );
        assert!(
            changes(&released, &current, &said(Verdict::Breaking))
                .unwrap()
                .is_empty()
        );
    }
}
