//! Durations, as people write them: `90s`, `15m`, `1h`, `7d`. A bare number is seconds.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The letters, and their seconds.
const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// A duration in whole seconds, of which there are at least and at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds<const LEAST: u32, const MOST: u32 = { u32::MAX }>(u32);

impl<const LEAST: u32, const MOST: u32> Seconds<LEAST, MOST> {
    /// So many seconds.
    ///
    /// # Panics
    /// If they are too few or too many: for constants.
    #[must_use]
    pub const fn new(seconds: u32) -> Self {
        assert!(LEAST <= seconds && seconds <= MOST, "it is out of bounds");
        Self(seconds)
    }

    /// The seconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// As the standard library has it.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }

    fn checked(seconds: u32) -> Result<Self, String> {
        if seconds < LEAST {
            return Err(format!("it is less than {LEAST}s"));
        }
        if seconds > MOST {
            return Err(format!("it is more than {}", write(MOST)));
        }
        Ok(Self(seconds))
    }
}

impl<const LEAST: u32, const MOST: u32> FromStr for Seconds<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = parse(text).ok_or("it is not a duration, such as 90s, 15m, 1h or 7d")?;
        Self::checked(seconds)
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Display for Seconds<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(self.0))
    }
}

impl<const LEAST: u32, const MOST: u32> Serialize for Seconds<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Seconds<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const LEAST: u32, const MOST: u32>;

        impl<const LEAST: u32, const MOST: u32> de::Visitor<'_> for Visitor<LEAST, MOST> {
            type Value = Seconds<LEAST, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration, such as 90s, 15m, 1h or 7d, of 136 years at most")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
                let whole = u32::try_from(seconds)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))?;
                Seconds::checked(whole).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Seconds<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Seconds{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+[smhd]?$",
            "minimum": LEAST,
            "maximum": MOST,
        })
    }
}

/// The seconds of `15m` or `900`.
pub(super) fn parse(text: &str) -> Option<u32> {
    let (number, unit) = match text.chars().last()? {
        '0'..='9' => (text, 1),
        last => {
            let (_, unit) = UNITS.into_iter().find(|(letter, _)| *letter == last)?;
            (&text[..text.len() - 1], unit)
        }
    };
    // Which `parse` alone would let through.
    if number.starts_with('+') {
        return None;
    }
    number.parse::<u32>().ok()?.checked_mul(unit)
}

/// In the largest unit that is exact.
pub(super) fn write(seconds: u32) -> String {
    let exact = |(_, unit): &(char, u32)| seconds != 0 && seconds.is_multiple_of(*unit);
    let (letter, unit) = UNITS.into_iter().rfind(exact).unwrap_or(UNITS[0]);
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Seconds;

    #[test]
    fn a_duration_is_read_and_written() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            let read: Seconds<0> = text.parse().unwrap();
            assert_eq!((read.get(), read.to_string().as_str()), (seconds, text));
            let bare: Seconds<0> = serde_json::from_value(json!(seconds)).unwrap();
            assert_eq!(bare, read);
        }
        assert_eq!("3600".parse::<Seconds<0>>().unwrap().to_string(), "1h");
        for text in [
            "", "s", "m15", "15 m", "-1s", "+1s", "1.5h", "1y", "1h30m", "49711d", "é",
        ] {
            assert!(text.parse::<Seconds<0>>().is_err(), "{text}");
        }
    }

    #[test]
    fn too_few_seconds_and_too_many_are_refused() {
        for value in [json!(0), json!("0"), json!("0m")] {
            let error = serde_json::from_value::<Seconds<1>>(value).unwrap_err();
            assert_eq!(error.to_string(), "it is less than 1s");
        }
        let error = serde_json::from_value::<Seconds<1>>(json!(1_u64 << 32)).unwrap_err();
        assert!(error.to_string().contains("136 years"), "{error}");
        assert!("1d".parse::<Seconds<1, 86_400>>().is_ok());
        let error = "25h".parse::<Seconds<1, 86_400>>().unwrap_err();
        assert_eq!(error, "it is more than 1d");
    }
}
