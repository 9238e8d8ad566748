//! One of the two services, and its responses.

use std::{collections::BTreeSet, fmt};

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
use serde_json::Value;

use super::cases::Request;
use crate::{
    cli::{
        error::CliError,
        http_client::{fetch, https_connector},
    },
    config::PublicUrl,
    text::printable,
};

/// Time limit for a response in seconds. The hash of an imported password may be slow.
const RESPONSE_TIMEOUT: u64 = 30;
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The start of every token.
const TOKEN_START: &str = "eyJ";
/// How many characters of a response are printed.
const MAX_PRINTED: usize = 100;
/// The members of responses and tokens whose names are printed. The name of another member could contain a password.
const MEMBERS: [&str; 13] = [
    "alg",
    "detail",
    "email",
    "exp",
    "expires_in",
    "non_field_errors",
    "orig_iat",
    "password",
    "token",
    "typ",
    "type",
    "user_id",
    "username",
];

pub(super) struct Service {
    /// `old` or `new`.
    pub(super) name: &'static str,
    url: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Service {
    pub(super) fn new(name: &'static str, url: &str) -> Result<Self, CliError> {
        // Messages show the URL, so it must not contain a password.
        let Ok(url) = PublicUrl::try_from(url.to_owned()) else {
            return Err(CliError::usage(format!(
                "--{name} is not a URL such as https://auth.example.com, without user, password, query and fragment"
            )));
        };
        Ok(Self {
            name,
            url: url.as_str().to_owned(),
            client: Client::builder(TokioExecutor::new()).build(https_connector()?),
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

    /// Returns the names of the parts that differ from another response for the same account. The times and the signature of a token do
    /// not count. The result contains no text of the responses, since a service may echo the password.
    pub(super) fn differences(&self, other: &Self) -> BTreeSet<&'static str> {
        let mut names = BTreeSet::new();
        for (one, other) in self.parts().iter().zip(&other.parts()) {
            if let (Some(one), Some(other)) = (one.as_object(), other.as_object()) {
                let differ = |name: &&String| one.get(*name) != other.get(*name);
                for name in one.keys().chain(other.keys()).filter(differ) {
                    let known = MEMBERS.into_iter().find(|known| known == name);
                    names.insert(known.unwrap_or("another member"));
                }
            } else if one != other {
                names.insert("the text");
            }
        }
        if self.status != other.status {
            names.insert("the status");
        }
        names
    }

    /// Returns the algorithm of the token, if the algorithm is known.
    pub(super) fn algorithm(&self) -> Option<&'static str> {
        let header = token_part(&self.token()?, 0);
        ["HS256", "ES256"]
            .into_iter()
            .find(|name| header["alg"] == *name)
    }

    /// Returns the body, the header of the token, and the claims of the token.
    fn parts(&self) -> [Value; 3] {
        let mut body = self.json();
        if body.is_null() {
            body = one_line(&self.body).into();
        }
        let Some(token) = self.token() else {
            return [body, Value::Null, Value::Null];
        };
        body["token"] = true.into();
        let (mut header, mut claims) = (token_part(&token, 0), token_part(&token, 1));
        // Known algorithms are compared separately. Only tokens of ES256 have the ID of a key.
        if let (Some(algorithm), Some(header)) = (self.algorithm(), header.as_object_mut()) {
            header.remove("alg");
            if algorithm == "ES256" {
                header.remove("kid");
            }
        }
        for time in ["exp", "orig_iat"] {
            if claims[time].is_i64() {
                claims[time] = "a time".into();
            }
        }
        [body, header, claims]
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl fmt::Display for Response {
    /// Formats the response to a request without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.body.contains(TOKEN_START) {
            return write!(f, "{} with a token", self.status);
        }
        let start: String = one_line(&self.body).chars().take(MAX_PRINTED).collect();
        write!(f, "{} {}", self.status, printable(&start))
    }
}

/// Decodes the header or the claims of a token.
fn token_part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap_or_default();
    let part = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    serde_json::from_slice(&part).unwrap_or_default()
}

/// Returns a text in one line.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}
