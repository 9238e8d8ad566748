//! Durations such as `90s`, `15m`, `1h` and `7d`. A number without a unit is in seconds.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The units and their seconds.
const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// A duration from `MIN` to `MAX` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Input", into = "String")]
pub struct BoundedSeconds<const MIN: u32, const MAX: u32 = { u32::MAX }>(u32);

/// A duration in a file or in the environment.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "not a duration of at most 136 years, such as 90s, 15m, 1h or 7d"
)]
enum Input {
    Seconds(u32),
    Text(String),
}

impl<const MIN: u32, const MAX: u32> BoundedSeconds<MIN, MAX> {
    /// Creates a constant.
    ///
    /// # Panics
    /// If the duration is out of bounds.
    #[must_use]
    pub const fn new(seconds: u32) -> Self {
        assert!(MIN <= seconds && seconds <= MAX, "out of bounds");
        Self(seconds)
    }

    /// Returns the seconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }

    fn checked(seconds: u32) -> Result<Self, String> {
        if seconds < MIN {
            return Err(format!("less than {MIN}s"));
        }
        if seconds > MAX {
            return Err(format!("more than {}", format_seconds(MAX)));
        }
        Ok(Self(seconds))
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for BoundedSeconds<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = parse_seconds(text).ok_or("not a duration, such as 90s, 15m, 1h or 7d")?;
        Self::checked(seconds)
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for BoundedSeconds<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_seconds(self.0))
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<Input> for BoundedSeconds<MIN, MAX> {
    type Error = String;

    fn try_from(input: Input) -> Result<Self, Self::Error> {
        match input {
            Input::Seconds(seconds) => Self::checked(seconds),
            Input::Text(text) => text.parse(),
        }
    }
}

impl<const MIN: u32, const MAX: u32> From<BoundedSeconds<MIN, MAX>> for String {
    fn from(seconds: BoundedSeconds<MIN, MAX>) -> Self {
        seconds.to_string()
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for BoundedSeconds<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Seconds{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+[smhd]?$",
            "minimum": MIN,
            "maximum": MAX,
        })
    }
}

/// Parses a duration such as `15m` or `900`.
pub(super) fn parse_seconds(text: &str) -> Option<u32> {
    let (number, unit) = match text.chars().last()? {
        '0'..='9' => (text, 1),
        last => {
            let (_, unit) = UNITS.into_iter().find(|(letter, _)| *letter == last)?;
            (&text[..text.len() - 1], unit)
        }
    };
    // `parse` accepts a plus sign.
    if number.starts_with('+') {
        return None;
    }
    number.parse::<u32>().ok()?.checked_mul(unit)
}

/// Formats a duration in the largest unit that is exact.
pub(super) fn format_seconds(seconds: u32) -> String {
    let exact = |(_, unit): &(char, u32)| seconds != 0 && seconds.is_multiple_of(*unit);
    let (letter, unit) = UNITS.into_iter().rfind(exact).unwrap_or(UNITS[0]);
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::BoundedSeconds;

    #[test]
    fn durations_are_parsed_and_formatted() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            let read: BoundedSeconds<0> = text.parse().unwrap();
            assert_eq!((read.get(), read.to_string().as_str()), (seconds, text));
            let bare: BoundedSeconds<0> = serde_json::from_value(json!(seconds)).unwrap();
            assert_eq!(bare, read);
        }
        assert_eq!(
            "3600".parse::<BoundedSeconds<0>>().unwrap().to_string(),
            "1h"
        );
        for text in [
            "", "s", "m15", "15 m", "-1s", "+1s", "1.5h", "1y", "1h30m", "49711d", "é",
        ] {
            assert!(text.parse::<BoundedSeconds<0>>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_out_of_bounds_are_rejected() {
        for value in [json!(0), json!("0"), json!("0m")] {
            let error = serde_json::from_value::<BoundedSeconds<1>>(value).unwrap_err();
            assert_eq!(error.to_string(), "less than 1s");
        }
        let error = serde_json::from_value::<BoundedSeconds<1>>(json!(1_u64 << 32)).unwrap_err();
        assert!(error.to_string().contains("136 years"), "{error}");
        assert!("1d".parse::<BoundedSeconds<1, 86_400>>().is_ok());
        let error = "25h".parse::<BoundedSeconds<1, 86_400>>().unwrap_err();
        assert_eq!(error, "more than 1d");
    }
}
