//! The documented exchanges in the formats of programs that send requests. Variables replace the documented credentials and token.

use serde_json::{Map, Value, json};

use super::{
    Document, OperationDocs,
    examples::{Cause, Exchange},
    json::MEDIA_TYPE,
};

mod arazzo;
mod bruno;
mod collection;
mod postman;

/// The field and the variable with the token of the last response.
const TOKEN: &str = "token";
/// The variable with a body that is too large. The formats do not contain this body.
const OVERSIZED: &str = "oversized";

/// A request in a format: its media type and its body.
struct Request {
    media_type: &'static str,
    body: Body,
}

enum Body {
    Json(Value),
    Text(String),
}

/// How a format writes the variable with this name.
type Variable = fn(&str) -> String;

impl Document {
    /// Returns the method and the part of the document of an operation.
    fn operation(&self, docs: &OperationDocs) -> (&str, &Value) {
        let methods = self.value()["paths"][&docs.path].as_object();
        let operation = methods.and_then(|methods| methods.iter().next());
        let (method, operation) = operation.expect("every path has an operation");
        (method, operation)
    }

    /// Returns the schemas of the fields in the request of an operation.
    fn fields(&self, docs: &OperationDocs) -> &Value {
        let (_, operation) = self.operation(docs);
        let reference = &operation["requestBody"]["content"][MEDIA_TYPE]["schema"]["$ref"];
        let pointer = reference.as_str().and_then(|it| it.strip_prefix('#'));
        let schema = pointer.and_then(|pointer| self.value().pointer(pointer));
        &schema.expect("every request has a schema")["properties"]
    }
}

impl OperationDocs {
    /// Returns the exchange that succeeds.
    fn success(&self) -> &Exchange {
        let mut examples = self.examples.iter();
        let success = examples.find(|exchange| exchange.status.is_success());
        success.expect("every operation has an example that succeeds")
    }

    /// Returns the documented request that succeeds.
    fn valid_request(&self) -> &Map<String, Value> {
        let request = self.success().request.as_ref();
        let (_, body) = request.expect("every example that succeeds has a request");
        body.as_object().expect("every request is an object")
    }

    /// Returns the request that causes the response of an exchange. If a state causes the response, the request is valid.
    fn request(&self, exchange: &Exchange, variable: Variable) -> Request {
        let with_variables = |body: &Value| {
            let mut body = body.clone();
            for (name, value) in body.as_object_mut().into_iter().flatten() {
                if self.valid_request().get(name) == Some(value) {
                    *value = variable(name).into();
                }
            }
            Body::Json(body)
        };
        let (media_type, body) = match &exchange.cause {
            Cause::Json(body) => (MEDIA_TYPE, with_variables(body)),
            Cause::State => (MEDIA_TYPE, with_variables(&json!(self.valid_request()))),
            Cause::Text { media_type, body } => (*media_type, Body::Text((*body).to_owned())),
            Cause::Oversized => (MEDIA_TYPE, Body::Text(variable(OVERSIZED))),
        };
        Request { media_type, body }
    }
}
