//! `signet verify-compat`: whether another service answers as this contract's services do.

use std::{fmt, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{error::CliError, http_client::https_connector, output::print, password};
use crate::{
    api::{
        corpus::{Answer, Case, Corpus, Request},
        obtain::Obtain,
        path_of,
        refresh::Refresh,
    },
    text::printable,
};

mod redact;

use redact::Secrets;

/// How long an answer is waited for; a hash that was imported may take a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most of an answer, in bytes.
const LARGEST: usize = 1024 * 1024;
/// How each token begins.
const TOKEN: &str = "eyJ";
/// The most of an answer that is printed, in characters.
const PRINTED: usize = 100;
/// The same where the claims of a token are printed.
const PRINTED_CLAIMS: usize = 1000;

#[derive(clap::Args)]
pub(super) struct VerifyCompat {
    /// Where the Django service is, such as <https://old.example.com>
    #[arg(long, value_name = "URL")]
    old: String,
    /// Where this service is
    #[arg(long, value_name = "URL")]
    new: String,
    /// An account of both, to obtain and refresh with, across the two
    #[arg(long, requires = "password_stdin")]
    email: Option<String>,
    /// Read its password from one line of standard input
    #[arg(long, requires = "email")]
    password_stdin: bool,
}

/// One of the two services.
struct Service {
    name: &'static str,
    url: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The secrets that are sent to it, and that no message may show.
    secrets: Secrets,
}

struct Reply {
    status: u16,
    headers: hyper::HeaderMap,
    body: String,
    secrets: Secrets,
}

/// What was compared.
#[derive(Default)]
struct Findings {
    same: u32,
    /// Deviations that the contract wants, each with its reason.
    expected: Vec<String>,
    unexpected: Vec<String>,
}

impl VerifyCompat {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let account = match &self.email {
            Some(email) => Some((email, password::from_stdin()?)),
            None => None,
        };
        let secrets = Secrets::new(account.as_ref().map(|(_, password)| &**password));
        let old = Service::at("old", &self.old, &secrets)?;
        let new = Service::at("new", &self.new, &secrets)?;
        let mut findings = Findings::default();
        for case in Corpus::read()
            .cases
            .iter()
            .filter(|case| case.is_stateless())
        {
            findings.compare(
                case,
                &old.send(&case.request).await?,
                &new.send(&case.request).await?,
            );
        }
        if let Some((email, password)) = account {
            findings.exchange(&old, &new, email, &password).await?;
        }
        for line in &findings.expected {
            print(format!("expected    {line}"))?;
        }
        for line in &findings.unexpected {
            print(format!("UNEXPECTED  {line}"))?;
        }
        let unexpected = findings.unexpected.len();
        print(format!(
            "{} the same, {} differ as expected, {unexpected} differ unexpectedly",
            findings.same,
            findings.expected.len()
        ))?;
        if unexpected > 0 {
            return Err("the two services differ".into());
        }
        Ok(())
    }
}

impl Findings {
    /// Holds both answers to a literal request against what was recorded.
    fn compare(&mut self, case: &Case, old: &Reply, new: &Reply) {
        let check = |reply: &Reply, wanted: &Answer| {
            wanted.check(reply.status, &reply.body, |name| {
                reply
                    .headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            })
        };
        if let Err(why) = check(new, &case.expect) {
            let line = format!("{}: the new service answers {new}; {why}", case.name);
            self.unexpected.push(line);
        } else if check(old, &case.expect).is_ok() {
            self.same += 1;
        } else if let (Some(because), Some(reference)) = (&case.because, &case.reference)
            && check(old, reference).is_ok()
        {
            let line = format!("{}: old {old}, new {new}: {because}", case.name);
            self.expected.push(line);
        } else {
            let line = format!("{}: old {old}, new {new}", case.name);
            self.unexpected.push(line);
        }
    }

    /// Obtains from both, and refreshes at each what the other issued.
    async fn exchange(
        &mut self,
        old: &Service,
        new: &Service,
        email: &str,
        password: &str,
    ) -> Result<(), CliError> {
        let (obtain, refresh) = (path_of::<Obtain>(), path_of::<Refresh>());
        let login = json!({ "email": email, "password": password });
        let wrong = json!({ "email": email, "password": format!("not {password}") });
        let refused = [
            old.post(&obtain, &wrong).await?,
            new.post(&obtain, &wrong).await?,
        ];
        self.alike("obtain with a wrong password", &refused[0], &refused[1]);

        let issued = [
            old.post(&obtain, &login).await?,
            new.post(&obtain, &login).await?,
        ];
        self.alike("obtain", &issued[0], &issued[1]);
        for (issued, by, at) in [(&issued[0], old, new), (&issued[1], new, old)] {
            let Some(token) = issued.token() else {
                self.unexpected
                    .push(format!("obtain: the {} service answers {issued}", by.name));
                continue;
            };
            let refreshed = at.post(&refresh, &json!({ "token": token })).await?;
            let what = format!(
                "refresh at the {} service what the {} one issued",
                at.name, by.name
            );
            if refreshed.token().is_none() {
                let advice = "have both the same secret, and the account the same id and e-mail?";
                self.unexpected
                    .push(format!("{what}: {refreshed}; {advice}"));
                continue;
            }
            self.alike(&what, issued, &refreshed);
        }
        Ok(())
    }

    fn alike(&mut self, what: &str, one: &Reply, other: &Reply) {
        if one.shape() == other.shape() {
            self.same += 1;
        } else {
            let (one, other) = (one.printable_shape(), other.printable_shape());
            self.unexpected
                .push(format!("{what}: {one} against {other}"));
        }
    }
}

impl Service {
    fn at(name: &'static str, url: &str, secrets: &Secrets) -> Result<Self, CliError> {
        let is_bare = |url: &url::Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
                // Messages show the URL.
                && url.username().is_empty()
                && url.password().is_none()
        };
        let Some(url) = url::Url::parse(url).ok().filter(is_bare) else {
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

    async fn post(&self, path: &str, body: &Value) -> Result<Reply, CliError> {
        self.send(&Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(body.to_string()),
            body_base64: None,
        })
        .await
    }

    async fn send(&self, literal: &Request) -> Result<Reply, CliError> {
        let failed = |error: &dyn fmt::Display| {
            CliError::from(format!(
                "the {} service at {} does not answer: {error}",
                self.name, self.url
            ))
        };
        let body = match (&literal.body, &literal.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).map_err(|error| failed(&error))?,
            (None, None) => Vec::new(),
        };
        let mut request = hyper::Request::builder()
            .method(&*literal.method)
            .uri(format!("{}{}", self.url, literal.path));
        for (name, value) in &literal.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                failed(&cause.unwrap_or_else(|| error.to_string()))
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| failed(&error))?.to_bytes();
            Ok(Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
                secrets: self.secrets.clone(),
            })
        };
        let reply: Result<Reply, CliError> = timeout(PATIENCE, answer)
            .await
            .map_err(|_| failed(&"30 seconds have passed"))?;
        match reply {
            Ok(reply) if reply.status == 429 => Err(format!(
                "the {} service throttles (429): turn that off for the comparison, here with SIGNET_THROTTLE=off, \
                 in Django REST framework in DEFAULT_THROTTLE_CLASSES",
                self.name
            )
            .into()),
            reply => reply,
        }
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn token(&self) -> Option<String> {
        let token = self.json()["token"].as_str()?.to_owned();
        (self.status == 200).then_some(token)
    }

    /// Returns the parts that are the same in two answers for one account: everything but the times and the signature of a token. The
    /// shape may contain secrets.
    fn shape(&self) -> String {
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

    /// The shape for people, without secrets.
    fn printable_shape(&self) -> String {
        if self.token().is_none() {
            return self.to_string();
        }
        let shape = self.shape();
        let shape = self.secrets.redact(&shape);
        if shape.contains(TOKEN) {
            return format!("{} with a token in another field too", self.status);
        }
        start(&shape, PRINTED_CLAIMS)
    }
}

impl fmt::Display for Reply {
    /// Never a token or a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.body.contains(TOKEN) {
            return write!(f, "{} with a token", self.status);
        }
        let body = self.secrets.redact(&self.body);
        write!(f, "{} {}", self.status, start(&body, PRINTED))
    }
}

/// The first characters of a text, in one line, safe for a terminal.
fn start(text: &str, most: usize) -> String {
    let start: String = one_line(text).chars().take(most).collect();
    printable(&start)
}

fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}
