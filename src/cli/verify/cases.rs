//! Requests with the responses of both services. The responses depend on no account, token or clock.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A request with the response of this service and the response of the Django service.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// A unique name.
    pub name: String,
    /// The request.
    pub request: Request,
    /// The response of this service.
    pub expect: ExpectedResponse,
    /// The reason why the Django service responds differently.
    pub because: Option<String>,
    /// The response of the Django service, if it differs.
    pub reference: Option<ExpectedResponse>,
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body, if the body is UTF-8.
    pub body: Option<String>,
    /// The body in base64, if the body is not UTF-8.
    pub body_base64: Option<String>,
}

/// The properties of a response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedResponse {
    /// The status.
    pub status: Option<u16>,
    /// The possible statuses, if there are several.
    pub status_one_of: Option<Vec<u16>>,
    /// The body as JSON.
    pub body: Option<Value>,
    /// The start of `detail`, if `detail` is the only field of the body.
    pub detail_starts_with: Option<String>,
    /// Some of the headers.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Whether the body contains a token.
    #[serde(default)]
    pub token: bool,
}

/// Returns the cases of `signet verify-compat`.
pub(super) fn all() -> Vec<Case> {
    serde_json::from_str(include_str!("cases.json")).expect("the cases are valid JSON")
}

impl ExpectedResponse {
    /// Checks a response.
    ///
    /// # Errors
    /// Returns the property that the response does not have.
    pub fn check<'a>(
        &self,
        status: u16,
        body: &str,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(), String> {
        match (self.status, &self.status_one_of) {
            (Some(wanted), None) if wanted == status => {}
            (None, Some(wanted)) if wanted.contains(&status) => {}
            wanted => return Err(format!("wanted {wanted:?}")),
        }
        let json = || serde_json::from_str::<Value>(body).unwrap_or_default();
        if let Some(wanted) = &self.body
            && json() != *wanted
        {
            return Err(format!("wanted {wanted}"));
        }
        if let Some(start) = &self.detail_starts_with {
            let json = json();
            let detail = json["detail"].as_str().unwrap_or_default();
            if !detail.starts_with(start) || json.as_object().map(Map::len) != Some(1) {
                return Err(format!("wanted a detail that starts with {start:?}"));
            }
        }
        for (name, value) in &self.headers {
            if header(name) != value.as_str() {
                return Err(format!("wanted {name}: {value}"));
            }
        }
        Ok(())
    }
}
