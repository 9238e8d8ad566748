//! Rules for the keywords of schemas. A changed keyword without a rule is breaking.

use std::{cmp::Ordering, collections::BTreeSet, slice};

use serde_json::Value;

use crate::{
    change::{GONE, UNKNOWN_BEFORE, Verdict, below},
    rules::{Effect, Side, Walk, became, demanded, fields, on, reference, resolve},
};

/// The reason why a changed type is breaking.
const TYPE: &str = "Clients, generated ones above all, choose the type of the value by it.";

impl<'a> Walk<'a> {
    pub(crate) fn schema(&mut self, at: &str, side: Side, was: &'a Value, is: &'a Value) {
        let (old, new) = (reference(was), reference(is));
        let field = ("$ref", was.get("$ref"), is.get("$ref"));
        self.differs(Verdict::Breaking, at, field, TYPE);
        if old.is_some() || new.is_some() {
            for field in fields(was, is).into_iter().filter(|it| it.0 != "$ref") {
                self.otherwise(at, field);
            }
            // A schema may contain itself.
            if self.seen.insert((old, new, side)) {
                let (was, is) = (resolve(self.released, was), resolve(self.current, is));
                self.schema(old.unwrap_or(at), side, was, is);
            }
            return;
        }
        self.members(at, side, was, is);
        for field in fields(was, is) {
            let (key, was, is) = field;
            let at_field = below(at, key);
            match (key, was, is) {
                ("properties", ..) => {}
                ("required", ..) if added_and_removed(was, is) != (false, false) => {}
                ("items", Some(was), Some(is))
                | (
                    "additionalProperties",
                    Some(was @ Value::Object(_)),
                    Some(is @ Value::Object(_)),
                ) => {
                    self.schema(&at_field, side, was, is);
                }
                ("allOf" | "anyOf" | "oneOf" | "not", Some(was), Some(is))
                    if branches(was).len() == branches(is).len() =>
                {
                    // An additional valid value of a branch may be an invalid value of the whole, so both effects are checked.
                    let sides = match key {
                        "oneOf" | "not" => &[Side::Request, Side::Response][..],
                        _ => &[side],
                    };
                    for (index, (was, is)) in branches(was).iter().zip(branches(is)).enumerate() {
                        for side in sides {
                            self.schema(&below(&at_field, &index.to_string()), *side, was, is);
                        }
                    }
                }
                _ if was == is => {}
                ("type" | "format", ..) => self.differs(Verdict::Breaking, at, field, TYPE),
                _ => match effect(key, was, is) {
                    Some(effect) => self.weigh(at, side, effect, became(field)),
                    None => self.otherwise(at, field),
                },
            }
        }
    }

    /// Compares the fields of an object. A field can be in `properties`, in `required`, or in both.
    fn members(&mut self, at: &str, side: Side, was: &'a Value, is: &'a Value) {
        let names: BTreeSet<_> = [was, is].into_iter().flat_map(names).collect();
        for name in names {
            let at = below(&below(at, "properties"), name);
            let (old, new) = (is_required(was, name), is_required(is, name));
            let mut weigh = |effect, what: &str| self.weigh(&at, side, effect, what);
            match (old, new) {
                (None, _) if side == Side::Response && was["additionalProperties"] == false => {
                    // The released schema allows no other field, so a client may reject the new field.
                    weigh(Effect::Looser, "the field was added");
                }
                (None, Some(true)) => {
                    weigh(Effect::Tighter, "the field was added, and is required");
                }
                (Some(false), Some(true)) => weigh(Effect::Tighter, "the field is required now"),
                (Some(true), Some(false)) => {
                    weigh(Effect::Looser, "the field is no longer required");
                }
                (None, Some(false)) => {
                    let what = "the field was added, and is optional";
                    self.say(Verdict::Additive, &at, what, UNKNOWN_BEFORE);
                }
                (_, None) => {
                    self.say(Verdict::Breaking, &at, "the field was removed", GONE);
                }
                _ => {}
            }
            let schema = |it: &'a Value| it.get("properties")?.get(name);
            match (schema(was), schema(is)) {
                (Some(was), Some(is)) => self.schema(&at, side, was, is),
                (was, is) if old.is_some() && new.is_some() => {
                    self.otherwise(&at, ("schema", was, is));
                }
                _ => {}
            }
        }
    }
}

/// Returns the names of the fields in `properties` and `required`.
fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let required = schema["required"].as_array().into_iter().flatten();
    properties
        .map(|(name, _)| name.as_str())
        .chain(required.filter_map(Value::as_str))
}

/// Returns whether a schema requires the field, or `None` if the schema does not have the field.
fn is_required(schema: &Value, name: &str) -> Option<bool> {
    let required = schema["required"].as_array();
    let required = required.is_some_and(|it| it.iter().any(|it| it == name));
    (required || schema["properties"].get(name).is_some()).then_some(required)
}

fn branches(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(slice::from_ref(value), Vec::as_slice)
}

/// Returns the effect of a changed keyword on the set of valid values, or `None` without a rule for the keyword.
fn effect(key: &str, was: Option<&Value>, is: Option<&Value>) -> Option<Effect> {
    let open = |it| it != Some(&Value::Bool(false));
    Some(match (key, was, is) {
        ("maxLength" | "maxItems" | "maxProperties" | "maximum", ..) => {
            upper_bound(number(was, f64::INFINITY), number(is, f64::INFINITY))
        }
        ("minLength" | "minItems" | "minProperties" | "minimum", ..) => upper_bound(
            number(is, f64::NEG_INFINITY),
            number(was, f64::NEG_INFINITY),
        ),
        ("uniqueItems" | "exclusiveMaximum" | "exclusiveMinimum", ..) => demanded(on(was), on(is)),
        // `null` is an additional value.
        ("nullable", ..) => demanded(on(is), on(was)),
        ("additionalProperties", None | Some(Value::Bool(_)), None | Some(Value::Bool(_))) => {
            demanded(!open(was), !open(is))
        }
        ("enum" | "pattern" | "multipleOf", None, _) => Effect::Tighter,
        ("enum" | "pattern" | "multipleOf", _, None) => Effect::Looser,
        ("enum", ..) => match added_and_removed(was, is) {
            (false, false) => Effect::Same,
            (true, false) => Effect::Looser,
            (false, true) => Effect::Tighter,
            (true, true) => Effect::Unclear,
        },
        // Patterns are not compared.
        ("pattern" | "multipleOf", ..) => Effect::Unclear,
        // Only the order differs: `members` reports added and removed fields.
        ("required", ..) => Effect::Same,
        _ => return None,
    })
}

/// Returns the effect of a changed upper bound. Different bounds that are equal as floats are still different.
fn upper_bound(was: f64, is: f64) -> Effect {
    match is.partial_cmp(&was) {
        Some(Ordering::Less) => Effect::Tighter,
        Some(Ordering::Greater) => Effect::Looser,
        _ => Effect::Unclear,
    }
}

fn number(value: Option<&Value>, absent: f64) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(absent)
}

/// Returns whether values were added to a list, and whether values were removed.
fn added_and_removed(was: Option<&Value>, is: Option<&Value>) -> (bool, bool) {
    let values = |it: Option<&Value>| it.and_then(Value::as_array).cloned().unwrap_or_default();
    let (was, is) = (values(was), values(is));
    let beyond = |one: &[Value], other: &[Value]| one.iter().any(|it| !other.contains(it));
    (beyond(&is, &was), beyond(&was, &is))
}
