//! What drift says: which operations, parameters, bodies and statuses came and went.
//!
//! Of schemas it tells little more than that two of them differ, and leaves the rest "unhandled": the
//! rules judge those. Where drift sees a difference of which no rule has spoken, it is breaking.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use drift::{ChangeClass, ChangeDetails, ChangeInfo, ChangePath};
use serde_json::{Map, Value};

use crate::change::{Change, GONE, UNKNOWN_BEFORE, Verdict};

/// What drift adds to what the rules have `said`.
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
        // The rules tell what prose changed.
        (ChangeClass::Trivial, _) => return None,
        (class, ChangeDetails::UnknownDifference | ChangeDetails::Datatype) => {
            // What drift leaves open, any rule may settle; what it calls a break, none may call less.
            let settled =
                |it: &Change| class == ChangeClass::Unhandled || it.verdict == Verdict::Breaking;
            if said.iter().any(|it| it.is_within(&at) && settled(it)) {
                return None;
            }
            (
                Verdict::Breaking,
                "drift sees a difference of which no rule has spoken.",
            )
        }
        // drift has a server in mind that may stop; but a client may have counted on it.
        (_, ChangeDetails::Removed) => (Verdict::Breaking, GONE),
        (ChangeClass::ForwardIncompatible, _) => (Verdict::Additive, UNKNOWN_BEFORE),
        _ => (
            Verdict::Breaking,
            "A client that does not know of it may fail.",
        ),
    };
    Some(Change {
        verdict,
        at,
        what: info.message.clone(),
        why,
    })
}

/// Where drift saw a change.
fn at(path: &ChangePath, info: &ChangeInfo) -> String {
    // A new operation has no place in the released document.
    let (stack, rest) = match path.old.endpoint_base() {
        Some(_) => (&path.old, &info.old_subpath),
        None => (&path.new, &info.new_subpath),
    };
    let base = stack.current_pointer();
    match (rest.as_str(), rest.strip_prefix("request_body/")) {
        ("", _) => base.to_owned(),
        // Its name for what the document calls `requestBody`.
        (_, Some(rest)) => format!("{base}/requestBody/{rest}"),
        (rest, None) => format!("{base}/{rest}"),
    }
}

/// Leaves the media types that both documents have, with a schema or without: drift panics on others,
/// and the rules tell of them.
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
            what: String::new(),
            why: "",
        }]
    }

    #[test]
    fn a_difference_of_which_no_rule_spoke_is_breaking() {
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
    fn a_rule_cannot_make_little_of_a_break() {
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
