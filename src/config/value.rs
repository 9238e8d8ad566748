//! Values that are more than a number or a text.

use std::{borrow::Cow, cell::Cell, str::FromStr, time::Duration};

use poem::http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::{Host, Url};

use super::duration;

/// An absolute `http` or `https` URL without userinfo, query and fragment, and without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a URL. The error quotes no part of a text with an `@`, which may contain a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let scheme = ["http://", "https://"].iter().find(|scheme| {
            let start = text.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let Some(scheme) = scheme else {
            return Err("it is not an http or https URL".to_owned());
        };
        let authority = text[scheme.len()..].split(['/', '\\', '?', '#']).next();
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err("it has a user name or a password; leave them out".to_owned());
        }
        // The parser of browsers repairs invalid URLs; a configuration should not need a repair (RFC 3986 appendix A).
        let is_allowed =
            |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
        if let Some(other) = text.chars().find(|c| !is_allowed(*c)) {
            let other = if text.contains('@') {
                "a character in it".to_owned()
            } else {
                format!("{other:?}")
            };
            return Err(format!("{other} is not allowed in a URL"));
        }
        let repaired = Cell::new(None);
        let note = |violation| repaired.set(Some(violation));
        let parser = Url::options().syntax_violation_callback(Some(&note));
        let url = parser.parse(text).map_err(|error| error.to_string())?;
        if let Some(violation) = repaired.get() {
            return Err(format!("it is not a valid URL: {violation}"));
        }
        if let Some(Host::Domain(domain)) = url.host()
            && !is_host_name(domain)
        {
            return Err("its host is not a host name".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has more than a host and a path: a query or a fragment".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// Whether this is a name that clients can resolve. The parser also accepts `*` and quotes in a host.
fn is_host_name(domain: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = domain.strip_suffix('.').unwrap_or(domain).split('.');
    labels.all(|label| !label.is_empty() && label.bytes().all(is_allowed))
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
    }
}

/// A number of bytes from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u32")]
pub struct Bytes<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Bytes<MIN, MAX> {
    /// So many bytes.
    ///
    /// # Panics
    /// If the number is out of bounds: for constants.
    #[must_use]
    pub const fn new(bytes: u32) -> Self {
        assert!(MIN <= bytes && bytes <= MAX, "out of bounds");
        Self(bytes)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<u64> for Bytes<MIN, MAX> {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, Self::Error> {
        match u32::try_from(bytes) {
            Ok(bytes) if bytes < MIN => Err(format!("it is less than {MIN} bytes")),
            Ok(bytes) if bytes <= MAX => Ok(Self(bytes)),
            _ => Err(format!("it is more than {MAX} bytes")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> From<Bytes<MIN, MAX>> for u32 {
    fn from(bytes: Bytes<MIN, MAX>) -> Self {
        bytes.0
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Bytes<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("BytesFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "uint32", "minimum": MIN, "maximum": MAX })
    }
}

/// Name of one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
pub struct ClientIpHeader(HeaderName);

impl ClientIpHeader {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl Default for ClientIpHeader {
    fn default() -> Self {
        Self(HeaderName::from_static("x-forwarded-for"))
    }
}

impl TryFrom<String> for ClientIpHeader {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = HeaderName::try_from(text);
        name.map(Self)
            .map_err(|_| "it is not the name of one header, such as x-forwarded-for or forwarded")
    }
}

impl From<ClientIpHeader> for String {
    fn from(header: ClientIpHeader) -> Self {
        header.0.as_str().to_owned()
    }
}

/// Whether those who fail too often have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Throttling {
    /// They have to.
    On,
    /// They do not: for tests.
    Off,
}

/// How e-mails stand in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditEmails {
    /// By their first letter and their domain.
    Masked,
    /// Written out.
    Whole,
}

/// So many attempts in such a time, such as `10/15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Rate {
    /// The attempts, at least one.
    pub attempts: u32,
    /// The time in which all of them are forgiven.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (attempts, per) = text.split_once('/')?;
            let attempts: u32 = attempts.parse().ok()?;
            let has_unit = per.ends_with(|last: char| last.is_ascii_alphabetic());
            let per = Duration::from_secs(duration::parse(per).filter(|_| has_unit)?.into());
            let lasts = !per.is_zero() && per <= Duration::from_hours(24 * 365);
            let forgivable = u128::from(attempts) <= per.as_millis();
            (attempts > 0 && lasts && forgivable).then_some(Self { attempts, per })
        };
        parse().ok_or("it is not a number of attempts per time, with the time in s, m, h or d")
    }
}

impl TryFrom<String> for Rate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX);
        format!("{}/{}", rate.attempts, duration::write(seconds))
    }
}

/// What is logged: levels, and targets with levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A bare word that is no level would be taken for a module, and silence all others.
        let is_known = |directive: &str| {
            directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok()
        };
        if !text.split(',').all(is_known) {
            return Err(
                "write a level (error, warn, info, debug, trace, off), or target=level".to_owned(),
            );
        }
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

#[cfg(test)]
mod tests {
    use super::{PublicUrl, Rate};

    #[test]
    fn public_urls_are_accepted_without_their_final_slash() {
        for (text, url) in [
            ("https://host", "https://host"),
            ("https://host/auth/", "https://host/auth"),
            ("HTTP://host:8000/a%20b", "http://host:8000/a%20b"),
            ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
        ] {
            assert_eq!(PublicUrl::try_from(text.to_owned()).unwrap().as_str(), url);
        }
    }

    #[test]
    fn other_public_urls_are_rejected() {
        for text in [
            "",
            "host",
            "//host",
            "https:host",
            "https:/host",
            "https://",
            "ftp://host",
            "javascript:alert(1)",
            "https://x/\"><script>",
            "https://x/a b",
            "https://x/\ta",
            "https://x\\y",
            "https://x/{}",
            "https://x/\u{e9}",
            "https://user@host",
            "https://user:password@host",
            "https://host?query",
            "https://host/#fragment",
            "https://host:99999",
        ] {
            assert!(PublicUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_read_and_written() {
        for text in [
            "10/15m", "100/15m", "1/1s", "5/1h", "3/7d", "10/90s", "9/365d",
        ] {
            assert_eq!(String::from(text.parse::<Rate>().unwrap()), text);
        }
        assert_eq!(String::from("10/60s".parse::<Rate>().unwrap()), "10/1m");
        for text in [
            "",
            "10",
            "10/",
            "/15m",
            "0/15m",
            "10/0m",
            "10/15",
            "10/15y",
            "-1/1m",
            "1/9999999d",
            "1/m",
            "1001/1s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
