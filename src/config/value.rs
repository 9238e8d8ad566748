//! Values that are more than a number or a text.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

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
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
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

const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (attempts, per) = text.split_once('/')?;
            let (_, seconds) = UNITS.into_iter().find(|(unit, _)| per.ends_with(*unit))?;
            let number: u64 = per[..per.len() - 1].parse().ok()?;
            let attempts: u32 = attempts.parse().ok()?;
            let per = Duration::from_secs(number.checked_mul(seconds)?);
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
        let seconds = rate.per.as_secs();
        let largest = UNITS
            .into_iter()
            .rfind(|(_, unit)| seconds.is_multiple_of(*unit));
        let (unit, of) = largest.unwrap_or(('s', 1));
        format!("{}/{}{unit}", rate.attempts, seconds / of)
    }
}

/// Addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Networks(pub Vec<IpNet>);

impl TryFrom<String> for Networks {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let texts = text
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let networks = texts.map(|text| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| address())
        });
        networks
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| "it is not a list of addresses or networks, such as 10.0.0.0/8,::1")
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        let texts: Vec<_> = networks.0.iter().map(ToString::to_string).collect();
        texts.join(",")
    }
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
        Url::parse(&self.0).is_ok_and(|url| url.password().is_some() || has_parameter(&url))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

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
    use super::{Networks, Rate};

    #[test]
    fn a_rate_is_read_and_written() {
        for text in ["10/15m", "100/15m", "1/1s", "5/1h", "3/7d", "10/90s"] {
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
        let networks = Networks::try_from("10.0.0.0/8, ::1,192.0.2.7".to_owned()).unwrap();
        assert_eq!(String::from(networks), "10.0.0.0/8,::1/128,192.0.2.7/32");
        assert!(Networks::try_from("10.0.0.0/8,proxy".to_owned()).is_err());
    }
}
