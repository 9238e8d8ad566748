//! One of the two services, and its responses.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::Full;
use hyper::{HeaderMap, body::Bytes};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use url::Url;

use super::{cases::Request, redact::Secrets};
use crate::{
    cli::{
        error::CliError,
        http_client::{fetch, https_connector},
    },
    text::printable,
};

/// Time limit for a response in seconds. The hash of an imported password may be slow.
const RESPONSE_TIMEOUT: u64 = 30;
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The start of every token.
const TOKEN_START: &str = "eyJ";
/// How many characters of a response are printed.
const MAX_PRINTED: usize = 100;
/// How many characters of a response with the claims of a token are printed.
const MAX_PRINTED_CLAIMS: usize = 1000;

pub(super) struct Service {
    /// `old` or `new`.
    pub(super) name: &'static str,
    url: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The secrets in requests to the service, which messages must not show.
    secrets: Secrets,
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    secrets: Secrets,
}

impl Service {
    pub(super) fn new(name: &'static str, url: &str, secrets: &Secrets) -> Result<Self, CliError> {
        let is_base_url = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
                // Messages show the URL, so it must not contain a password.
                && url.username().is_empty()
                && url.password().is_none()
        };
        let Some(url) = Url::parse(url).ok().filter(is_base_url) else {
            return Err(CliError::usage(format!(
                "--{name} is not a URL such as https://auth.example.com, without user, password, query and fragment"
            )));
        };
        Ok(Self {
            name,
            url: url.as_str().trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build(https_connector()?),
            secrets: secrets.clone(),
        })
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Response, CliError> {
        self.send(&Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(body.to_string()),
            body_base64: None,
        })
        .await
    }

    pub(super) async fn send(&self, request: &Request) -> Result<Response, CliError> {
        let request = self.request(request).map_err(|error| self.failed(error))?;
        let response = fetch(&self.client, request, MAX_RESPONSE_BYTES, RESPONSE_TIMEOUT)
            .await
            .map_err(|error| self.failed(error))?;
        if response.status() == 429 {
            return Err(format!(
                "the {} service throttles (429): turn that off for the comparison, here with SIGNET_THROTTLE=off, \
                 in Django REST framework in DEFAULT_THROTTLE_CLASSES",
                self.name
            )
            .into());
        }
        let (head, body) = response.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            secrets: self.secrets.clone(),
        })
    }

    fn request(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, String> {
        let body = match (&request.body, &request.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD
                .decode(encoded)
                .map_err(|error| error.to_string())?,
            (None, None) => Vec::new(),
        };
        let mut builder = hyper::Request::builder()
            .method(&*request.method)
            .uri(format!("{}{}", self.url, request.path));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let built = builder.body(Full::new(Bytes::from(body)));
        built.map_err(|error| error.to_string())
    }

    fn failed(&self, error: String) -> CliError {
        format!(
            "the {} service at {} does not answer: {error}",
            self.name, self.url
        )
        .into()
    }
}

impl Response {
    /// Returns the token of a successful response.
    pub(super) fn token(&self) -> Option<String> {
        let token = self.json()["token"].as_str()?.to_owned();
        (self.status == 200).then_some(token)
    }

    /// Returns the parts of a response that are equal for two responses to one account: everything except the times and the signature of
    /// a token. The shape may contain secrets.
    pub(super) fn shape(&self) -> String {
        let Some(token) = self.token() else {
            return format!("{} {}", self.status, one_line(&self.body));
        };
        let part = |at: usize| {
            let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
            serde_json::from_slice::<Value>(&part).ok()
        };
        let (header, mut claims) = (part(0).unwrap_or_default(), part(1).unwrap_or_default());
        for time in ["exp", "orig_iat"] {
            if claims[time].is_i64() {
                claims[time] = "a time".into();
            }
        }
        let mut body = self.json();
        body["token"] = json!([header, claims]);
        format!("{} {body}", self.status)
    }

    /// Returns the shape without secrets.
    pub(super) fn printable_shape(&self) -> String {
        if self.token().is_none() {
            return self.to_string();
        }
        let shape = self.shape();
        let shape = self.secrets.redact(&shape);
        if shape.contains(TOKEN_START) {
            return format!("{} with a token in another field too", self.status);
        }
        truncated(&shape, MAX_PRINTED_CLAIMS)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl fmt::Display for Response {
    /// Formats the response without tokens and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.body.contains(TOKEN_START) {
            return write!(f, "{} with a token", self.status);
        }
        let body = self.secrets.redact(&self.body);
        write!(f, "{} {}", self.status, truncated(&body, MAX_PRINTED))
    }
}

/// Returns the first characters of a text in one line without control characters.
fn truncated(text: &str, max: usize) -> String {
    let start: String = one_line(text).chars().take(max).collect();
    printable(&start)
}

fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}
