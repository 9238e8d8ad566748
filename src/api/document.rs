//! The one final OpenAPI document: made by poem-openapi, mended where it falls short, and the same
//! wherever it is served, emitted or validated against.

use std::{collections::HashMap, marker::PhantomData};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ContactObject, ExternalDocumentObject, ExtraHeader, LicenseObject, OpenApi, OpenApiService,
    ServerObject,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};

use super::{CLAIMS_PATH, Exchange, Operations, exchanges};
use crate::auth::Lifetimes;

/// The version of the contract: its major number rises when a client could notice the change.
const VERSION: &str = "1.0.0";

const DESCRIPTION: &str = "\
Turns the e-mail and the password of an account into a signed JSON Web Token, and refreshes it.

A token is good for {lifetime}. Within {window} of the login it can be exchanged for a newer one, as
often as needed, before it expires. It is signed with HS256: whoever shares the secret can verify it.

Every answer is JSON. An error names the fields at fault, each with a list of messages; faults of the
request as a whole stand under `non_field_errors`, and requests that were not looked into get a `detail`.";

/// The OpenAPI document of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Value);

impl Document {
    /// Makes the document from the operations' types, for a service that clients reach at
    /// `public_url`; without one, the document's own host is the service. The texts and the examples state these lifetimes.
    ///
    /// # Panics
    /// When the operations and their exchanges do not fit together.
    #[must_use]
    pub fn build(public_url: Option<&str>, lifetimes: Lifetimes) -> Self {
        let base = public_url.unwrap_or_default();
        let claims = ExternalDocumentObject::new(format!("{base}{CLAIMS_PATH}"))
            .description("The claims of a token, as JSON Schema");
        let request_id =
            ExtraHeader::new("X-Request-Id").description("Names the request in the log");
        let described = Described::<Operations>(PhantomData);
        let spec = OpenApiService::<_, ()>::new(described, "Signet", VERSION)
            .description(DESCRIPTION)
            .contact(ContactObject::new().name("Signet"))
            .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
            // Not `/`: some generators append the path to it, and `//v1/` would name another host.
            .server(ServerObject::new(base).description("This service"))
            .external_document(claims)
            .extra_response_header::<Option<String>, _>(request_id)
            .spec()
            .replace("{lifetime}", &in_words(lifetimes.expires_in))
            .replace("{window}", &in_words(lifetimes.refresh_window));
        let mut document: Value = serde_json::from_str(&spec).expect("poem-openapi emits JSON");
        // The last release of 3.0; poem-openapi says 3.0.0.
        document["openapi"] = json!("3.0.3");
        // Both operations are for everyone, and say so.
        document["security"] = json!([]);
        let mut examples: HashMap<_, _> = exchanges(lifetimes.expires_in).into_iter().collect();
        for operation in operations_of(&mut document) {
            let id = operation["operationId"]
                .as_str()
                .expect("every operation has an id");
            let exchanges = examples.remove(id).expect("every operation has exchanges");
            mend_headers(operation);
            add_examples(operation, &exchanges);
        }
        Self(document)
    }

    /// The document itself.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    #[cfg(test)]
    pub(super) const fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The document as JSON, as it is committed and served.
    ///
    /// # Panics
    /// Never: a JSON value is JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("a JSON value is JSON") + "\n"
    }

    /// The document as YAML.
    ///
    /// # Panics
    /// Never: every JSON value is a YAML value.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(&self.0).expect("a JSON value is YAML")
    }
}

/// A time in its largest whole unit, such as `1 hour`, `90 minutes` or `7 days`.
fn in_words(seconds: i64) -> String {
    let units = [
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
        ("second", 1),
    ];
    let is_whole = |(_, length): &(&str, i64)| seconds >= *length && seconds % length == 0;
    let (unit, length) = units.into_iter().find(is_whole).unwrap_or(("second", 1));
    let count = seconds / length;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

fn operations_of(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    document["paths"]
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
}

/// poem-openapi writes the names of headers in capitals.
fn mend_headers(operation: &mut Value) {
    let responses = operation["responses"].as_object_mut().into_iter();
    for response in responses.flat_map(Map::values_mut) {
        let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else {
            continue;
        };
        *headers = std::mem::take(headers)
            .into_iter()
            .map(|(name, header)| (title_case(&name), header))
            .collect();
    }
}

fn title_case(header: &str) -> String {
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + &rest.to_lowercase(),
        None => String::new(),
    };
    header.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// poem-openapi knows one example per schema; the contract has several per request and answer.
fn add_examples(operation: &mut Value, exchanges: &[Exchange]) {
    for exchange in exchanges {
        let example = |value: &Value| json!({ "summary": exchange.summary, "value": value });
        if let Some((name, body)) = &exchange.request {
            media_type(&mut operation["requestBody"])["examples"][*name] = example(body);
        }
        let response = operation["responses"]
            .get_mut(exchange.status.as_str())
            .unwrap_or_else(|| {
                panic!(
                    "{}: {} is no answer of its operation",
                    exchange.name, exchange.status
                )
            });
        media_type(response)["examples"][exchange.name] = example(&exchange.answer);
    }
}

fn media_type(message: &mut Value) -> &mut Value {
    &mut message["content"][super::json::MEDIA_TYPE]
}

/// The path as the contract spells it: poem-openapi drops trailing slashes.
pub(super) fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

/// `T` as it is described, without an instance of it.
struct Described<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = T::meta();
        for path in apis.iter_mut().flat_map(|api| &mut api.paths) {
            path.path = with_slash(&path.path);
        }
        apis
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn times_are_written_in_their_largest_whole_unit() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (60, "1 minute"),
            (300, "5 minutes"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (86_400, "1 day"),
            (604_800, "7 days"),
            (u32::MAX.into(), "4294967295 seconds"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }
}
