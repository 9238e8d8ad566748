//! A number of attempts per time, such as `10/15m`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seconds::{format_seconds, parse_seconds};

/// A number of attempts per time, such as `10/15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Rate {
    /// The number of attempts, at least one.
    pub attempts: u32,
    /// The time, from one second to one year.
    pub per: Duration,
}

impl TryFrom<String> for Rate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const MAX: Duration = Duration::from_hours(24 * 365);
        let parse = || {
            let (attempts, per) = text.split_once('/')?;
            let attempts: u32 = attempts.parse().ok()?;
            let has_unit = per.ends_with(|last: char| last.is_ascii_alphabetic());
            let per = Duration::from_secs(parse_seconds(per).filter(|_| has_unit)?.into());
            let is_in_bounds = !per.is_zero() && per <= MAX;
            // The limiter counts in milliseconds.
            let is_countable = u128::from(attempts) <= per.as_millis();
            (attempts > 0 && is_in_bounds && is_countable).then_some(Self { attempts, per })
        };
        parse().ok_or(
            "not a number of attempts per time, such as 10/1m; units of time are s, m, h and d",
        )
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX);
        format!("{}/{}", rate.attempts, format_seconds(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    fn parse(text: &str) -> Result<Rate, &'static str> {
        text.to_owned().try_into()
    }

    #[test]
    fn valid_rates_are_parsed_and_formatted() {
        for text in [
            "10/15m", "100/15m", "1/1s", "5/1h", "3/7d", "10/90s", "9/365d",
        ] {
            assert_eq!(String::from(parse(text).unwrap()), text);
        }
        assert_eq!(String::from(parse("10/60s").unwrap()), "10/1m");
    }

    #[test]
    fn invalid_rates_are_rejected() {
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
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
