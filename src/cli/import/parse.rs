//! Validates the record of a source.

use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    instant::instant,
    record::{FieldValue, MAX_TEXT, Record, SourcePosition, quoted_start},
};
use crate::{
    accounts::{ImportRecord, LARGEST_GIVEN_ID, PasswordHash, email},
    auth::{UnsupportedHash, scheme_of},
};

/// The name of the scheme of accounts without a usable password.
const UNUSABLE: &str = "unusable";

/// The options of an import that affect records.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Whether to import accounts without their password if it cannot be verified.
    pub(super) accept_unusable: bool,
    /// The time zone of times without one.
    pub(super) time_zone: Option<TimeZone>,
}

/// Facts about an account for the report.
pub(super) struct Origin {
    pub(super) position: SourcePosition,
    /// The scheme of the hash, by Django's name.
    pub(super) scheme: &'static str,
    pub(super) warnings: Vec<String>,
    pub(super) last_login: Option<OffsetDateTime>,
    /// The number of times without a time zone that are read as UTC.
    pub(super) naive_times: u64,
}

impl Rules {
    /// Validates a record. Returns the account, or why the account cannot be imported.
    pub(super) fn parse(&self, mut record: Record) -> Result<(ImportRecord, Origin), String> {
        let id = id(&record.take("id"))?;
        let email = address(record.take("email"), record.take("username"))?;
        let password = record.take("password");
        let password_digest = digest(&password);
        let (scheme, password, without_password) = match hash(password, self.accept_unusable) {
            Ok((scheme, hash)) => (scheme, hash, None),
            Err(why) => (UNUSABLE, None, Some(why)),
        };
        let mut warnings = Vec::new();
        if !email::is_valid(&email) {
            warnings.push(
                "the email is invalid: the account cannot log in, but its tokens can be refreshed"
                    .to_owned(),
            );
        }
        let mut naive_times = 0;
        let mut instant =
            |name, value: &FieldValue| match instant(name, value, self.time_zone.as_ref()) {
                Ok(None) => None,
                Ok(Some(instant)) => {
                    naive_times += u64::from(instant.is_naive && self.time_zone.is_none());
                    Some(instant.utc)
                }
                Err(warning) => {
                    warnings.push(warning);
                    None
                }
            };
        let account = ImportRecord {
            id,
            email,
            password,
            password_digest,
            without_password,
            is_active: parse_bool(&record.take("is_active"))?,
            created: instant("date_joined", &record.take("date_joined")),
            last_login: instant("last_login", &record.take("last_login")),
        };
        let origin = Origin {
            position: record.position,
            scheme,
            warnings,
            last_login: account.last_login,
            naive_times,
        };
        Ok((account, origin))
    }
}

fn id(value: &FieldValue) -> Result<i64, String> {
    const IDS: std::ops::RangeInclusive<i64> = 1..=LARGEST_GIVEN_ID;
    match value {
        FieldValue::Missing | FieldValue::Null => {
            Err("no ID; dump without --natural-primary".to_owned())
        }
        FieldValue::Number(text) | FieldValue::Text(text) => {
            let id = text.parse().ok().filter(|id| IDS.contains(id));
            id.ok_or_else(|| {
                format!(
                    "the ID {} is not a whole number from 1 to {}: larger IDs are reserved for accounts that \
                     signet creates",
                    quoted_start(text),
                    IDS.end()
                )
            })
        }
        _ => Err("the ID is not a whole number".to_owned()),
    }
}

/// Returns the email, or the user name if the user name is the email.
fn address(email: FieldValue, username: FieldValue) -> Result<String, String> {
    let chosen = match (email, username) {
        (FieldValue::Missing | FieldValue::Null, username) => username,
        // The tokens of the account have the spelling of the user name.
        (FieldValue::Text(email), FieldValue::Text(username))
            if email::normalize(&email) == email::normalize(&username) =>
        {
            FieldValue::Text(username)
        }
        (FieldValue::Text(email), username) if email.is_empty() => username,
        (email, _) => email,
    };
    match chosen {
        FieldValue::Text(text) if text.contains('\0') => {
            Err("the email contains a null character or a lone surrogate".to_owned())
        }
        FieldValue::Text(text) if !text.is_empty() => Ok(text),
        FieldValue::Missing | FieldValue::Null | FieldValue::Text(_) => Err("no email".to_owned()),
        FieldValue::TooLong => Err(format!("the email is longer than {MAX_TEXT} bytes")),
        FieldValue::Bool(_) | FieldValue::Number(_) | FieldValue::Nested => {
            Err("the email is not text".to_owned())
        }
    }
}

/// Returns a digest, to detect whether the source changed the password.
fn digest(password: &FieldValue) -> String {
    let text = match password {
        FieldValue::Text(text) => text,
        _ => "",
    };
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}

/// Returns the scheme and the hash. The hash is `None` if the password is unusable.
fn hash(
    value: FieldValue,
    accept_unusable: bool,
) -> Result<(&'static str, Option<PasswordHash>), String> {
    let reason = match value {
        FieldValue::Missing => {
            return Err("no password field".to_owned());
        }
        FieldValue::Null => return Ok((UNUSABLE, None)),
        // How Django marks an account without a usable password.
        FieldValue::Text(text) if text.is_empty() || text.starts_with('!') => {
            return Ok((UNUSABLE, None));
        }
        FieldValue::Text(text) => {
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
            "the password cannot be verified: {reason}; --accept-unusable imports the account without a password"
        ))
    }
}

fn parse_bool(value: &FieldValue) -> Result<bool, String> {
    match value {
        // A model without the field has no disabled accounts. Django treats null as false.
        FieldValue::Missing => Ok(true),
        FieldValue::Null => Ok(false),
        FieldValue::Bool(is_active) => Ok(*is_active),
        FieldValue::Text(text) | FieldValue::Number(text) => match &*text.to_ascii_lowercase() {
            "t" | "true" | "1" => Ok(true),
            "f" | "false" | "0" => Ok(false),
            _ => Err(format!(
                "is_active is {}, which is neither true nor false",
                quoted_start(text)
            )),
        },
        FieldValue::TooLong | FieldValue::Nested => {
            Err("is_active is neither true nor false".to_owned())
        }
    }
}
