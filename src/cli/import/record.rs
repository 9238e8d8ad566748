//! An account as its source has it, and what makes it one that can come in.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::{
    civil::DateTime,
    tz::{TimeZone, TimeZoneDatabase},
};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{
    accounts::{ImportRecord, LARGEST_GIVEN_ID, PasswordHash, email},
    auth::{UnsupportedHash, scheme_of},
    text::printable,
};

/// The fields that are looked at, under Django's names.
pub(super) const FIELDS: [&str; 6] = [
    "email",
    "username",
    "password",
    "is_active",
    "last_login",
    "date_joined",
];

/// The longest text that is kept of a field, in bytes: longer than any e-mail or hash.
pub(super) const LONGEST: usize = 4096;

/// The name under which accounts without a usable password are counted.
const UNUSABLE: &str = "unusable";

/// Where something stands in its source, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Character { line: u64, column: u64 },
    Line(u64),
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { line, column } => write!(f, "line {line}, column {column}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// What stands in a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Cell {
    /// The source does not have the field.
    #[default]
    Missing,
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    TooLong,
    /// A list or an object.
    Nested,
}

/// An account as its source has it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) id: Cell,
    /// In the order of [`FIELDS`].
    pub(super) fields: [Cell; FIELDS.len()],
}

/// An account that can come in.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) arrival: ImportRecord,
    /// The scheme of its hash, by Django's name.
    pub(super) scheme: &'static str,
    /// What an operator should know of it.
    pub(super) warnings: Vec<String>,
    /// The number of times without a time zone that are read as UTC.
    pub(super) naive_times: u64,
}

/// The rules of one import.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Whether to import accounts without their password if it cannot be verified.
    pub(super) accept_unusable: bool,
    /// The time zone of times without one.
    pub(super) time_zone: Option<TimeZone>,
}

impl Record {
    /// The account, or why it is none.
    pub(super) fn candidate(self, rules: &Rules) -> Result<Candidate, String> {
        let [
            email,
            username,
            password,
            is_active,
            last_login,
            date_joined,
        ] = self.fields;
        let id = id(&self.id)?;
        let email = address(email, username)?;
        let password_digest = digest(&password);
        let (scheme, password, without_password) = match hash(password, rules.accept_unusable) {
            Ok((scheme, hash)) => (scheme, hash, None),
            Err(why) => (UNUSABLE, None, Some(why)),
        };
        let mut warnings = Vec::new();
        if !email::is_valid(&email) {
            warnings.push(
                "its e-mail is not valid: its tokens refresh, but it cannot log in".to_owned(),
            );
        }
        let mut naive_times = 0;
        let mut instant = |name, cell| match instant(name, &cell, rules.time_zone.as_ref()) {
            Ok(None) => None,
            Ok(Some(instant)) => {
                naive_times += u64::from(instant.is_naive && rules.time_zone.is_none());
                Some(instant.utc)
            }
            Err(warning) => {
                warnings.push(warning);
                None
            }
        };
        let arrival = ImportRecord {
            id,
            email,
            password,
            password_digest,
            without_password,
            is_active: truth(&is_active)?,
            created: instant("date_joined", date_joined),
            last_login: instant("last_login", last_login),
        };
        Ok(Candidate {
            arrival,
            scheme,
            warnings,
            naive_times,
        })
    }
}

fn id(cell: &Cell) -> Result<i64, String> {
    const IDS: std::ops::RangeInclusive<i64> = 1..=LARGEST_GIVEN_ID;
    match cell {
        Cell::Missing | Cell::Null => {
            Err("it has no id: dump without --natural-primary".to_owned())
        }
        Cell::Number(text) | Cell::Text(text) => {
            let id = text.parse().ok().filter(|id| IDS.contains(id));
            id.ok_or_else(|| {
                format!(
                    "its id, {}, is not a whole number from 1 to {}: larger ids are reserved for accounts \
                     without a given id",
                    shown(text),
                    IDS.end()
                )
            })
        }
        _ => Err("its id is not a whole number".to_owned()),
    }
}

/// The e-mail, or the user name where that holds it.
fn address(email: Cell, username: Cell) -> Result<String, String> {
    let chosen = match (email, username) {
        (Cell::Missing | Cell::Null, username) => username,
        // Its tokens have the spelling of the user name.
        (Cell::Text(email), Cell::Text(username))
            if email::normalize(&email) == email::normalize(&username) =>
        {
            Cell::Text(username)
        }
        (Cell::Text(email), username) if email.is_empty() => username,
        (email, _) => email,
    };
    match chosen {
        Cell::Text(text) if text.contains('\0') => {
            Err("its e-mail holds a null character or a lone surrogate".to_owned())
        }
        Cell::Text(text) if !text.is_empty() => Ok(text),
        Cell::Missing | Cell::Null | Cell::Text(_) => Err("it has no e-mail".to_owned()),
        Cell::TooLong => Err(format!("its e-mail is longer than {LONGEST} bytes")),
        Cell::Bool(_) | Cell::Number(_) | Cell::Nested => Err("its e-mail is not text".to_owned()),
    }
}

/// Tells whether what stands for the password is what stood there before; it is not kept itself.
fn digest(password: &Cell) -> String {
    let text = match password {
        Cell::Text(text) => text,
        _ => "",
    };
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}

/// The scheme, and the hash if it is one that is verified.
fn hash(cell: Cell, accept_unusable: bool) -> Result<(&'static str, Option<PasswordHash>), String> {
    let verdict = match cell {
        Cell::Missing => return Err("it has no password, not even one that is unusable".to_owned()),
        Cell::Null => return Ok((UNUSABLE, None)),
        // How Django marks an account without a usable password.
        Cell::Text(text) if text.is_empty() || text.starts_with('!') => {
            return Ok((UNUSABLE, None));
        }
        Cell::Text(text) => {
            let hash = PasswordHash(text);
            match scheme_of(&hash) {
                Ok(scheme) => return Ok((scheme, Some(hash))),
                Err(why) => why,
            }
        }
        _ => UnsupportedHash::Unknown,
    };
    if accept_unusable {
        Ok((UNUSABLE, None))
    } else {
        Err(format!(
            "its password cannot be verified: {verdict}. With --accept-unusable it comes in without one"
        ))
    }
}

fn truth(cell: &Cell) -> Result<bool, String> {
    match cell {
        // A model without the field has no disabled accounts; nothing in it is as good as false to Django.
        Cell::Missing => Ok(true),
        Cell::Null => Ok(false),
        Cell::Bool(is_active) => Ok(*is_active),
        Cell::Text(text) | Cell::Number(text) => match &*text.to_ascii_lowercase() {
            "t" | "true" | "1" => Ok(true),
            "f" | "false" | "0" => Ok(false),
            _ => Err(format!(
                "its is_active, {}, is neither true nor false",
                shown(text)
            )),
        },
        Cell::TooLong | Cell::Nested => Err("its is_active is neither true nor false".to_owned()),
    }
}

struct Instant {
    utc: OffsetDateTime,
    /// Whether the text names no time zone.
    is_naive: bool,
}

fn instant(
    name: &str,
    cell: &Cell,
    time_zone: Option<&TimeZone>,
) -> Result<Option<Instant>, String> {
    match cell {
        Cell::Missing | Cell::Null => Ok(None),
        Cell::Text(text) => match parse_instant(text, time_zone) {
            Some(instant) => Ok(Some(instant)),
            None => Err(format!(
                "its {name}, {}, is not a date and time",
                shown(text)
            )),
        },
        _ => Err(format!("its {name} is not a date and time")),
    }
}

/// Reads RFC 3339 and the format of databases: a space in the middle, and an offset of hours. Without an offset, it is a time of `time_zone`,
/// or of UTC.
fn parse_instant(text: &str, time_zone: Option<&TimeZone>) -> Option<Instant> {
    let (date, time) = text.split_once(['T', ' '])?;
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let is_naive = zone.is_empty();
    let zone = match zone.len() {
        0 => "Z".to_owned(),
        3 => format!("{zone}:00"),
        5 => format!("{}:{}", zone.get(..3)?, zone.get(3..)?),
        _ => zone.to_owned(),
    };
    let instant = OffsetDateTime::parse(&format!("{date}T{time}{zone}"), &Rfc3339).ok()?;
    let utc = match time_zone {
        Some(time_zone) if is_naive => local(instant, time_zone)?,
        _ => instant.checked_to_offset(UtcOffset::UTC)?,
    };
    Some(Instant { utc, is_naive })
}

/// Returns the instant of a local time. If the clocks were set back and showed the time twice, the earlier instant counts.
fn local(shown: OffsetDateTime, time_zone: &TimeZone) -> Option<OffsetDateTime> {
    let (year, month, day) = shown.to_calendar_date();
    let (hour, minute, second, nanosecond) = shown.to_hms_nano();
    let small = |part: u8| i8::try_from(part).ok();
    let shown = DateTime::new(
        i16::try_from(year).ok()?,
        small(month.into())?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        i32::try_from(nanosecond).ok()?,
    );
    let instant = time_zone.to_ambiguous_timestamp(shown.ok()?);
    let instant = instant.compatible().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(instant.as_nanosecond()).ok()
}

/// Finds an IANA time zone in the database that is part of this program, so that each machine finds the same.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| "not an IANA time zone such as Europe/Berlin".to_owned())
}

/// Quotes the start of a text.
fn shown(text: &str) -> String {
    format!("\"{}\"", start(text))
}

/// Returns the start of a text, safe for a terminal.
pub(super) fn start(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    let rest = if start.len() < text.len() { "…" } else { "" };
    printable(&start) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, zone: Option<&str>) -> Option<OffsetDateTime> {
        let zone = zone.map(|name| time_zone(name).unwrap());
        parse_instant(text, zone.as_ref()).map(|instant| instant.utc)
    }

    #[test]
    fn an_instant_is_read_as_django_and_databases_write_it() {
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
    fn naive_instant_is_a_time_of_the_given_zone() {
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
            // Twice, and never.
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
