//! Values that are more than a number or a text.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, time::Duration};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use super::duration;

/// An absolute `http` or `https` URL, without a slash at its end.
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
}

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = url::Url::parse(&text).map_err(|_| "it is not an absolute URL")?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("it is not an http or https URL");
        }
        let is_somebodys = !url.username().is_empty() || url.password().is_some();
        if url.query().is_some() || url.fragment().is_some() || is_somebodys {
            return Err("it has more than a host and a path");
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
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

/// Those who are believed about others: addresses and networks, and whoever comes by a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct Networks {
    /// The addresses and networks.
    pub addresses: Vec<IpNet>,
    /// Whether who connects by a Unix socket is one: it has no address.
    pub unix: bool,
}

impl TryFrom<String> for Networks {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut networks = Self::default();
        for text in items(&text) {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            match text.parse::<IpNet>().or_else(|_| address()) {
                Ok(network) => networks.addresses.push(network),
                Err(_) if text == "unix" => networks.unix = true,
                Err(_) => {
                    return Err(
                        "it is not a list of addresses or networks, such as 10.0.0.0/8,::1",
                    );
                }
            }
        }
        Ok(networks)
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        let unix = networks.unix.then(|| "unix".to_owned());
        let addresses = networks.addresses.iter().map(ToString::to_string);
        addresses.chain(unix).collect::<Vec<_>>().join(",")
    }
}

/// Web pages, by where they come from, such as `https://app.example.com` (RFC 6454 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct Origins(pub Vec<String>);

impl TryFrom<String> for Origins {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let origin = |text: &str| {
            let url = Url::parse(text).ok()?;
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let nobodys = url.username().is_empty() && url.password().is_none();
            let is_web = matches!(url.scheme(), "http" | "https");
            // As browsers write it: without the port that goes without saying.
            (is_web && is_bare && nobodys && !text.ends_with('/'))
                .then(|| url.origin().ascii_serialization())
        };
        let origins: Option<_> = items(&text).map(origin).collect();
        origins.map(Self).ok_or(
            "it is not a list of origins, such as https://app.example.com,http://localhost:3000",
        )
    }
}

impl From<Origins> for String {
    fn from(origins: Origins) -> Self {
        origins.0.join(",")
    }
}

/// How a list stands in a file: as an array, or as everywhere else, with commas between.
#[derive(JsonSchema)]
#[schemars(inline, extend("type" = ["array", "string"]))]
#[expect(dead_code, reason = "it is there for its schema")]
struct List(Vec<String>);

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A URL that may hold a password, and does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl DatabaseUrl {
    /// The URL, password and all.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether whoever sees it sees a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let has_parameter = |url: &Url| url.query_pairs().any(|(name, _)| name == "password");
        self.readable().map_or_else(
            || self.0.contains('@'),
            |url| url.password().is_some() || has_parameter(&url),
        )
    }

    /// None where nobody knows what is what in it, such as where a password was not escaped.
    fn readable(&self) -> Option<Url> {
        let url = Url::parse(&self.0).ok()?;
        let rest = [Some(url.path()), url.query(), url.fragment()];
        let is_odd = rest.into_iter().flatten().any(|part| part.contains('@'));
        (!is_odd && url.fragment().is_none()).then_some(url)
    }

    /// The URL, for whoever may look on.
    #[must_use]
    pub fn masked(&self) -> String {
        let Some(mut url) = self.readable() else {
            return MASK.to_owned();
        };
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
        if self.has_password() && url.query().is_some() {
            let shown = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
                let value = if name == "password" {
                    MASK.into()
                } else {
                    value
                };
                (name.into_owned(), value.into_owned())
            };
            let pairs: Vec<_> = url.query_pairs().map(shown).collect();
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        url.into()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
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

/// In the place of what is not shown.
pub(super) const MASK: &str = "***";

/// A value that does not print itself.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{DatabaseUrl, Networks, Origins, Rate};

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

    #[test]
    fn networks_are_read_and_written() {
        let networks = Networks::try_from("10.0.0.0/8, ::1,unix,192.0.2.7".to_owned()).unwrap();
        assert!(networks.unix);
        let text = "10.0.0.0/8,::1/128,192.0.2.7/32,unix";
        assert_eq!(String::from(networks), text);
        assert!(Networks::try_from("10.0.0.0/8,proxy".to_owned()).is_err());
    }

    #[test]
    fn origins_are_read_and_written_as_browsers_do() {
        let origins = "https://App.Example.com:443, http://localhost:3000".to_owned();
        let origins = Origins::try_from(origins).unwrap();
        let text = "https://app.example.com,http://localhost:3000";
        assert_eq!(String::from(origins), text);
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://a/",
            "https://a/x",
            "https://u@a",
            "ftp://a",
            "https://a?b",
        ] {
            assert!(Origins::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("sqlite:data/signet.db", "sqlite:data/signet.db"),
            ("postgres://db/signet", "postgres://db/signet"),
            (
                "postgres://a:hunter2@db/signet",
                "postgres://a:***@db/signet",
            ),
            (
                "postgres://db/signet?user=a&password=hunter2",
                "postgres://db/signet?user=a&password=***",
            ),
            (
                "postgres://a:hunter2@db/x?password=hunter2",
                "postgres://a:***@db/x?password=***",
            ),
            ("hunter2", "***"),
            ("signet:hunter2@db/signet", "***"),
            ("postgres:signet:hunter2@db/signet", "***"),
            ("postgres://signet:12/hunter2@db/signet", "***"),
            ("postgres://signet:12?hunter2@db/signet", "***"),
            ("postgres://signet:12#hunter2@db/signet", "***"),
        ] {
            let url = DatabaseUrl(url.to_owned());
            assert_eq!(url.masked(), shown);
            assert_eq!(
                url.has_password(),
                url.0.contains("hunter2@") || url.0.contains("=hunter2")
            );
        }
    }
}
