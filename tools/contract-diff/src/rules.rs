//! Rules for the parts that drift does not compare: names, media types, headers, security and texts.
//!
//! The comparison visits every field of both documents. A changed field without a rule is breaking, because a rule states why a change
//! does not affect clients.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::change::{Change, GONE, Values, Verdict, What, below};

/// Fields for people. Programs do not read them.
const PROSE: [&str; 7] = [
    "deprecated",
    "description",
    "example",
    "examples",
    "externalDocs",
    "summary",
    "title",
];

pub(crate) const METHODS: [&str; 8] = [
    "delete", "get", "head", "options", "patch", "post", "put", "trace",
];

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The client. The service must accept the same requests as before.
    Request,
    /// The service. The client must be able to read every response.
    Response,
}

/// The effect of a change on the set of valid messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The set is the same.
    Same,
    /// The set is smaller.
    Tighter,
    /// The set is larger.
    Looser,
    /// Neither set is known to contain the other set.
    Unclear,
}

/// Returns the changes between two documents, with the verdicts of the rules.
pub(crate) fn changes(released: &Value, current: &Value) -> Vec<Change> {
    let mut walk = Walk {
        released,
        current,
        seen: BTreeSet::new(),
        changes: Vec::new(),
    };
    walk.document();
    walk.changes
}

/// The name of a field, its released value, and its current value.
pub(crate) type Field<'a> = (&'a str, Option<&'a Value>, Option<&'a Value>);

/// Returns the fields of two objects.
pub(crate) fn fields<'a>(
    was: impl Into<Option<&'a Value>>,
    is: impl Into<Option<&'a Value>>,
) -> Vec<Field<'a>> {
    let [was, is] = [was.into(), is.into()].map(|it| it.and_then(Value::as_object));
    let keys: BTreeSet<_> = [was, is]
        .into_iter()
        .flatten()
        .flat_map(|it| it.keys())
        .collect();
    let field = |it: Option<&'a serde_json::Map<_, _>>, key| it.and_then(|it| it.get(key));
    keys.into_iter()
        .map(|key| (key.as_str(), field(was, key), field(is, key)))
        .collect()
}

/// Resolves the reference in `value`. Returns `value` if it is not a reference.
pub(crate) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    reference(value)
        .and_then(|it| document.pointer(it.trim_start_matches('#')))
        .unwrap_or(value)
}

pub(crate) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str)
}

/// Describes a changed field.
pub(crate) fn became(field: Field<'_>) -> What {
    What::Field(values(field))
}

fn values((key, was, is): Field<'_>) -> Values {
    Values {
        key: key.to_owned(),
        was: was.cloned(),
        is: is.cloned(),
    }
}

/// Visits both documents in parallel.
pub(crate) struct Walk<'a> {
    pub(crate) released: &'a Value,
    pub(crate) current: &'a Value,
    /// The visited pairs of references: two schemas are compared once for each sender.
    pub(crate) seen: BTreeSet<(Option<&'a str>, Option<&'a str>, Side)>,
    changes: Vec<Change>,
}

impl<'a> Walk<'a> {
    pub(crate) fn say(
        &mut self,
        verdict: Verdict,
        at: &str,
        what: impl Into<What>,
        why: &'static str,
    ) {
        self.changes.push(Change {
            verdict,
            at: at.to_owned(),
            what: what.into(),
            why,
        });
    }

    /// Reports a field if its value changed.
    pub(crate) fn differs(
        &mut self,
        verdict: Verdict,
        at: &str,
        field: Field<'_>,
        why: &'static str,
    ) {
        let (_, was, is) = field;
        if was != is {
            self.say(verdict, at, became(field), why);
        }
    }

    /// Applies the rule for fields without a specific rule.
    pub(crate) fn otherwise(&mut self, at: &str, field: Field<'_>) {
        if PROSE.contains(&field.0) {
            self.prose(at, field);
        } else {
            let why = "No rule says that clients accept the change.";
            self.differs(Verdict::Breaking, at, field, why);
        }
    }

    fn prose(&mut self, at: &str, field: Field<'_>) {
        let (_, was, is) = field;
        if was != is {
            let why = "Only people read this text.";
            let what = What::Prose(values(field));
            self.say(Verdict::Documentation, at, what, why);
        }
    }

    /// Applies the rule for sets of messages: a smaller set of requests is breaking, and a larger set of responses is breaking.
    pub(crate) fn weigh(&mut self, at: &str, side: Side, effect: Effect, what: impl Into<What>) {
        let (verdict, why) = match (side, effect) {
            (_, Effect::Same) => (Verdict::Documentation, "The meaning is the same."),
            (Side::Request, Effect::Tighter) => (
                Verdict::Breaking,
                "A request that was accepted may be rejected now.",
            ),
            (Side::Request, Effect::Looser) => (
                Verdict::Additive,
                "Every request that was accepted still is.",
            ),
            (Side::Response, Effect::Tighter) => {
                (Verdict::Additive, "Clients already expect every response.")
            }
            (Side::Response, Effect::Looser) => (
                Verdict::Breaking,
                "A client may get a response that it does not expect.",
            ),
            (_, Effect::Unclear) => (
                Verdict::Breaking,
                "Messages that were valid may be invalid now.",
            ),
        };
        self.say(verdict, at, what, why);
    }

    fn document(&mut self) {
        for field in fields(self.released, self.current) {
            match field {
                ("info", was, is) => {
                    for field in fields(was, is) {
                        self.prose("#/info", field);
                    }
                }
                // The descriptions of the tags. Each operation lists tags separately.
                ("tags", ..) => self.prose("#", field),
                ("servers", Some(Value::Array(was)), Some(Value::Array(is)))
                    if was.len() == is.len() =>
                {
                    for field in was.iter().zip(is).flat_map(|(was, is)| fields(was, is)) {
                        self.server(field);
                    }
                }
                ("paths", was, is) => self.paths(was, is),
                // Components are compared after the paths, which show the sender of each component.
                ("components", ..) => {}
                field => self.otherwise("#", field),
            }
        }
        self.components();
    }

    fn server(&mut self, field: Field<'_>) {
        let names_document_host =
            |url: Option<&Value>| matches!(url.and_then(Value::as_str), Some("" | "/"));
        match field {
            ("url", was, is) if names_document_host(was) && names_document_host(is) => {
                let why = "Both URLs name the host that serves the document.";
                self.differs(Verdict::Documentation, "#/servers", field, why);
            }
            field => self.otherwise("#/servers", field),
        }
    }

    fn paths(&mut self, was: Option<&'a Value>, is: Option<&'a Value>) {
        let routes: BTreeMap<_, _> = fields(None, is)
            .into_iter()
            .filter_map(|(path, _, item)| Some((route(path), item?)))
            .collect();
        for field in fields(was, is) {
            let (path, was, _) = field;
            if path.starts_with("x-") {
                self.otherwise("#/paths", field);
            } else if let (Some(was), Some(is)) = (was, routes.get(&route(path))) {
                self.path(&below("#/paths", path), was, is);
            }
        }
    }

    fn path(&mut self, at: &str, was: &'a Value, is: &'a Value) {
        for field in fields(was, is) {
            match field {
                (method, one, other) if METHODS.contains(&method) => {
                    // drift reports added and removed operations.
                    let (Some(one), Some(other)) = (one, other) else {
                        continue;
                    };
                    let own = below(at, method);
                    self.operation(&own, one, other);
                    let was = parameters(self.released, [(at, was), (&own, one)]);
                    let is = parameters(self.current, [(at, is), (&own, other)]);
                    self.parameters(&own, &was, &is);
                }
                // The parameters are compared for each operation.
                ("parameters", ..) => {}
                field => self.otherwise(at, field),
            }
        }
    }

    fn operation(&mut self, at: &str, was: &'a Value, is: &'a Value) {
        for field in fields(was, is) {
            let at_field = below(at, field.0);
            match field {
                ("operationId" | "tags", ..) => {
                    let why = "Generated clients name their methods and classes after it.";
                    self.differs(Verdict::Breaking, at, field, why);
                }
                ("requestBody", Some(was), Some(is)) => {
                    self.part(&at_field, Side::Request, was, is);
                }
                ("responses", was, is) => {
                    for field in fields(was, is) {
                        match field {
                            (key, ..) if key.starts_with("x-") => self.otherwise(&at_field, field),
                            (status, Some(was), Some(is)) => {
                                self.part(&below(&at_field, status), Side::Response, was, is);
                            }
                            // drift reports added and removed statuses.
                            _ => {}
                        }
                    }
                }
                // drift reports an added or removed body. Parameters have a separate rule.
                ("requestBody" | "parameters", ..) => {}
                field => self.otherwise(at, field),
            }
        }
    }

    fn parameters(&mut self, own: &str, was: &Parameters<'a>, is: &Parameters<'a>) {
        for ((place, name), (at, was)) in was {
            if let Some((_, is)) = is.get(&(place, name)) {
                self.part(at, Side::Request, was, is);
            } else if *place == "path" {
                let why = "Generated clients name their arguments after it.";
                let what = format!("the parameter {name} of the path has another name");
                self.say(Verdict::Breaking, own, what, why);
            }
            // drift reports all other added and removed parameters.
        }
    }

    /// A body, a parameter, a response, a header, or one media type of them.
    fn part(&mut self, at: &str, side: Side, was: &'a Value, is: &'a Value) {
        let at = reference(was).unwrap_or(at);
        let (was, is) = (resolve(self.released, was), resolve(self.current, is));
        for field in fields(was, is) {
            match field {
                ("schema", Some(was), Some(is)) => {
                    self.schema(&below(at, "schema"), side, was, is);
                }
                // An additional media type extends the set of messages.
                ("content", was, is) => {
                    self.parts(&below(at, "content"), side, Effect::Looser, was, is);
                }
                // Clients ignore unknown headers.
                ("headers", was, is) => {
                    self.parts(&below(at, "headers"), side, Effect::Tighter, was, is);
                }
                // drift reports whether a body or a parameter is required.
                ("required", ..) if side == Side::Request => {}
                ("required", was, is) if was != is => {
                    self.weigh(at, side, demanded(on(was), on(is)), became(field));
                }
                field => self.otherwise(at, field),
            }
        }
    }

    fn parts(
        &mut self,
        at: &str,
        side: Side,
        one_more: Effect,
        was: Option<&'a Value>,
        is: Option<&'a Value>,
    ) {
        for (name, was, is) in fields(was, is) {
            match (was, is) {
                (Some(was), Some(is)) => self.part(&below(at, name), side, was, is),
                (None, _) => self.weigh(at, side, one_more, format!("{name} was added")),
                (_, None) => self.say(Verdict::Breaking, at, format!("{name} was removed"), GONE),
            }
        }
    }

    fn components(&mut self) {
        let of = |document: &'a Value| document.get("components");
        for field in fields(of(self.released), of(self.current)) {
            let ("schemas", was, is) = field else {
                // The contract has no other components yet.
                self.otherwise("#/components", field);
                continue;
            };
            for (name, was, is) in fields(was, is) {
                let at = below("#/components/schemas", name);
                match (was, is) {
                    (Some(was), Some(is)) => {
                        // No operation uses the schema, so the sender is unknown.
                        if !self.seen.iter().any(|seen| seen.0 == Some(&at)) {
                            self.schema(&at, Side::Request, was, is);
                            self.schema(&at, Side::Response, was, is);
                        }
                    }
                    (_, None) => {
                        let why = "Generated clients have a type of this name.";
                        self.say(Verdict::Breaking, &at, "the schema was removed", why);
                    }
                    (None, _) => {
                        let why = "No client of the release uses the new schema.";
                        self.say(Verdict::Additive, &at, "the schema was added", why);
                    }
                }
            }
        }
    }
}

/// Returns whether a flag is set.
pub(crate) fn on(value: Option<&Value>) -> bool {
    value == Some(&Value::Bool(true))
}

/// Returns the effect of a change of `required`.
pub(crate) fn demanded(was: bool, is: bool) -> Effect {
    match (was, is) {
        (false, true) => Effect::Tighter,
        (true, false) => Effect::Looser,
        _ => Effect::Same,
    }
}

/// Returns the path without the names of parameters, as drift compares paths.
fn route(path: &str) -> String {
    let part = |part: &str| if part.contains('{') { "{}" } else { part }.to_owned();
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The parameters of an operation by location and name.
type Parameters<'a> = BTreeMap<(&'a str, &'a str), (String, &'a Value)>;

/// Returns the parameters of a path and an operation. The parameters of the operation override the parameters of the path.
fn parameters<'a>(document: &'a Value, holders: [(&str, &'a Value); 2]) -> Parameters<'a> {
    let mut all = Parameters::new();
    for (at, holder) in holders {
        let at = below(at, "parameters");
        let list = holder.get("parameters").and_then(Value::as_array);
        for (index, parameter) in list.into_iter().flatten().enumerate() {
            let field = |key| resolve(document, parameter).get(key)?.as_str();
            if let (Some(place), Some(name)) = (field("in"), field("name")) {
                let at = below(&at, &index.to_string());
                all.insert((place, name), (at, parameter));
            }
        }
    }
    all
}
