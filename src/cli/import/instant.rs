//! Parses the instants of a source.

use jiff::{
    fmt::temporal::Pieces,
    tz::{TimeZone, TimeZoneDatabase},
};
use time::OffsetDateTime;

use super::record::{FieldValue, quoted_start};

/// A parsed instant.
pub(super) struct Instant {
    pub(super) utc: OffsetDateTime,
    /// Whether the text has no time zone.
    pub(super) is_naive: bool,
}

/// Parses a field. Returns `None` if the field is missing or null.
pub(super) fn instant(
    name: &str,
    value: &FieldValue,
    time_zone: Option<&TimeZone>,
) -> Result<Option<Instant>, String> {
    match value {
        FieldValue::Missing | FieldValue::Null => Ok(None),
        FieldValue::Text(text) => match parse_instant(text, time_zone) {
            Some(instant) => Ok(Some(instant)),
            None => Err(format!(
                "{name} is {}, which is not a date and time",
                quoted_start(text)
            )),
        },
        _ => Err(format!("{name} is not a date and time")),
    }
}

/// Parses RFC 3339, and the format of databases with a space and an offset in hours. A time without an offset is in `time_zone`, or in UTC.
/// If the clocks were set back and showed the time twice, the earlier instant counts.
fn parse_instant(text: &str, time_zone: Option<&TimeZone>) -> Option<Instant> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let local = pieces.date().to_datetime(pieces.time()?);
    let offset = pieces.to_numeric_offset();
    let instant = match offset {
        Some(offset) => offset.to_timestamp(local),
        None => time_zone.unwrap_or(&TimeZone::UTC).to_timestamp(local),
    };
    let utc = OffsetDateTime::from_unix_timestamp_nanos(instant.ok()?.as_nanosecond());
    Some(Instant {
        utc: utc.ok()?,
        is_naive: offset.is_none(),
    })
}

/// Finds an IANA time zone in the bundled database, so that the result does not depend on the machine.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| "not an IANA time zone such as Europe/Berlin".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, zone: Option<&str>) -> Option<OffsetDateTime> {
        let zone = zone.map(|name| time_zone(name).unwrap());
        parse_instant(text, zone.as_ref()).map(|instant| instant.utc)
    }

    #[test]
    fn instants_of_django_and_databases_are_parsed() {
        let expected = "2018-10-17T00:54:56.125Z";
        for text in [
            expected,
            "2018-10-17T02:54:56.125+02:00",
            "2018-10-17 00:54:56.125",
            "2018-10-17 00:54:56.125000",
            "2018-10-17 00:54:56.125+00",
            "2018-10-16 19:54:56.125-0500",
        ] {
            assert_eq!(utc(text, None), utc(expected, None), "{text}");
        }
        assert!(utc(expected, None).is_some());
        for text in [
            "",
            "yesterday",
            "2018-10-17",
            "2018-13-17T00:00:00Z",
            "T",
            "2018-10-17T00:54:56+é",
        ] {
            assert_eq!(utc(text, None), None, "{text}");
            assert_eq!(utc(text, Some("Europe/Berlin")), None, "{text}");
        }
    }

    #[test]
    fn naive_instant_is_in_the_given_time_zone() {
        for (text, zone, expected) in [
            (
                "2018-10-17 02:54:56.125",
                "Europe/Berlin",
                "2018-10-17T00:54:56.125Z",
            ),
            (
                "2018-01-17T02:54:56",
                "europe/berlin",
                "2018-01-17T01:54:56Z",
            ),
            (
                "2018-10-16T19:24:56",
                "America/New_York",
                "2018-10-16T23:24:56Z",
            ),
            (
                "2018-10-17 06:39:56",
                "Asia/Kathmandu",
                "2018-10-17T00:54:56Z",
            ),
            ("2018-10-17 00:54:56", "UTC", "2018-10-17T00:54:56Z"),
            // The clock shows this time twice, or never.
            (
                "2018-10-28 02:30:00",
                "Europe/Berlin",
                "2018-10-28T00:30:00Z",
            ),
            (
                "2018-03-25 02:30:00",
                "Europe/Berlin",
                "2018-03-25T01:30:00Z",
            ),
            // The offset in the text counts.
            (
                "2018-10-17 02:54:56+00",
                "Europe/Berlin",
                "2018-10-17T02:54:56Z",
            ),
            (
                "2018-10-17T02:54:56Z",
                "Europe/Berlin",
                "2018-10-17T02:54:56Z",
            ),
        ] {
            assert_eq!(utc(text, Some(zone)), utc(expected, None), "{text} {zone}");
        }
        for name in [
            "",
            "Berlin",
            "+02:00",
            "Europe/Atlantis",
            "CEST+2",
            "../UTC",
        ] {
            assert!(time_zone(name).is_err(), "{name}");
        }
    }
}
