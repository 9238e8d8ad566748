//! The corpus: literal requests to the Django service that the contract was first served by, at one frozen
//! clock, its answers, and the deliberate deviations from them.
//!
//! The tests replay all of it; `signet verify-compat` replays what depends on no account, token or clock.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The requests, and what they were made with.
#[derive(Clone, Debug, Deserialize)]
pub struct Corpus {
    /// The frozen clock, in Unix seconds.
    pub clock: i64,
    /// The secret that signed the tokens.
    pub secret: String,
    /// Seconds that a token lives.
    pub expires_in: i64,
    /// Seconds that it may be refreshed for.
    pub refresh_window: i64,
    /// The accounts.
    pub users: Vec<Account>,
    /// The requests with their answers.
    pub cases: Vec<Case>,
}

/// An account of the corpus.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: i64,
    /// Its e-mail, as stored.
    pub email: String,
    /// Its password, or none if it has no usable one.
    pub password: Option<String>,
    /// Whether it may log in.
    pub is_active: bool,
}

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The request.
    pub request: Request,
    /// What this service must answer.
    pub expect: Answer,
    /// Why that is another answer than the Django service's.
    pub because: Option<String>,
    /// What the Django service answered, where that was another.
    pub reference: Option<Answer>,
}

/// A literal request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its body, if that is text.
    pub body: Option<String>,
    /// Its body, if that is not text.
    pub body_base64: Option<String>,
}

/// What an answer must be like.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The one status.
    pub status: Option<u16>,
    /// Any of these statuses.
    pub status_one_of: Option<Vec<u16>>,
    /// The body, as JSON.
    pub body: Option<Value>,
    /// The start of the `detail`, which is all there is.
    pub detail_starts_with: Option<String>,
    /// Some of the headers.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Whether it has a token, which the corpus does not tell.
    #[serde(default)]
    pub token: bool,
}

impl Corpus {
    /// Reads it.
    ///
    /// # Panics
    /// When the file that was built in is broken.
    #[must_use]
    pub fn read() -> Self {
        serde_json::from_str(include_str!("corpus.json")).expect("the corpus is JSON of this form")
    }
}

impl Case {
    /// Whether its answer depends on no account, token or clock.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        let has_token = self
            .request
            .body
            .as_deref()
            .unwrap_or_default()
            .contains("eyJ");
        !has_token && self.expect.is_stateless() && self.reference.iter().all(Answer::is_stateless)
    }
}

impl Answer {
    fn is_stateless(&self) -> bool {
        let statuses = self
            .status
            .iter()
            .chain(self.status_one_of.iter().flatten());
        let errors = self.body.as_ref().map(|body| &body["non_field_errors"][0]);
        let errors = errors.and_then(Value::as_str).unwrap_or("Invalid data");
        !self.token
            && statuses.into_iter().all(|status| *status != 200)
            && errors.starts_with("Invalid data")
    }

    /// Holds an answer against this.
    ///
    /// # Errors
    /// With what was wanted, when it is another.
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
