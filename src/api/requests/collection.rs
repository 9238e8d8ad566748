//! The parts that collections of requests have in common: variables, bodies and scripts.

use serde_json::Value;

use super::{Body, OVERSIZED, TOKEN};
use crate::api::{
    Document, OperationDocs,
    body::BodyLimits,
    examples::{Cause, Exchange},
    json::MEDIA_TYPE,
};

/// The variable with the address of the service.
const BASE_URL: &str = "baseUrl";
/// The address of a demo.
const DEMO_URL: &str = "http://127.0.0.1:8000";

impl Document {
    /// Returns the initial variables: the address, and the fields of the first request, which obtains the token.
    pub(super) fn variables(&self) -> Vec<(&str, &str)> {
        let url = self.value()["servers"][0]["url"].as_str();
        let url = url.filter(|url| !url.is_empty()).unwrap_or(DEMO_URL);
        let first = self.docs().first().map(OperationDocs::valid_request);
        let fields = first.into_iter().flatten();
        let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        [(BASE_URL, url)].into_iter().chain(fields).collect()
    }

    pub(super) fn method(&self, docs: &OperationDocs) -> String {
        self.operation(docs).0.to_uppercase()
    }
}

impl OperationDocs {
    pub(super) fn url(&self) -> String {
        variable(BASE_URL) + &self.path
    }

    /// Returns the requests of a collection, each with the responses to save next to it. The request that succeeds has the responses of
    /// all exchanges that the program does not send.
    pub(super) fn requests(
        &self,
        is_sent: fn(&Exchange) -> bool,
    ) -> impl Iterator<Item = (&Exchange, Vec<&Exchange>)> {
        let (sent, mut saved): (Vec<_>, Vec<_>) = self.examples.iter().partition(|it| is_sent(it));
        sent.into_iter().map(move |exchange| {
            let is_valid = exchange.status.is_success();
            let saved = is_valid.then(|| std::mem::take(&mut saved));
            (exchange, saved.unwrap_or_default())
        })
    }
}

impl Exchange {
    /// Returns the headers of the response.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let retry_after = self
            .retry_after
            .map(|seconds| ("Retry-After", seconds.to_string()));
        [("Content-Type", MEDIA_TYPE.to_owned())]
            .into_iter()
            .chain(retry_after)
    }

    /// Returns the script before the request, which sets a variable with the function `set`.
    pub(super) fn script_before(&self, set: &str) -> Option<String> {
        let length = BodyLimits::default().max_bytes + 1;
        let script = format!("{set}(\"{OVERSIZED}\", \"x\".repeat({length}));");
        (self.cause == Cause::Oversized).then_some(script)
    }

    /// Returns the script that compares the response with the exchange, and stores its token with the function `set`. The arguments are
    /// the expressions of the response. Each success has another token, and at most the documented seconds.
    pub(super) fn script_after(
        &self,
        status: &str,
        media_type: &str,
        body: &str,
        set: &str,
    ) -> String {
        let expected_status = self.status.as_str();
        let mut expected = pretty(&self.response);
        let mut lines = Vec::new();
        let fields = self.response.as_object().into_iter().flatten();
        for (name, value) in fields.filter(|_| self.status.is_success()) {
            let check = match value {
                Value::Number(most) => format!("within(1, {most})"),
                _ if name == TOKEN => "a(\"string\")".to_owned(),
                _ => continue,
            };
            let field = format!("body.{name}");
            expected = expected.replace(
                &format!("\"{name}\": {value}"),
                &format!("\"{name}\": {field}"),
            );
            lines.push(format!("expect({field}).to.be.{check};"));
        }
        if self.status.is_success() {
            lines.push(format!("{set}(\"{TOKEN}\", body.{TOKEN});"));
        }
        lines.insert(
            0,
            format!("const body = {body};\nexpect(body).to.eql({expected});"),
        );
        let compare = lines.join("\n").replace('\n', "\n  ");
        format!(
            r#"test("status", () => expect({status}).to.eql({expected_status}));
test("media type", () => expect({media_type}).to.eql("{MEDIA_TYPE}"));
test("body", () => {{
  {compare}
}});"#
        )
    }
}

impl Body {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Json(value) => pretty(&value),
            Self::Text(text) => text,
        }
    }
}

pub(super) fn variable(name: &str) -> String {
    format!("{{{{{name}}}}}")
}

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value is JSON")
}
