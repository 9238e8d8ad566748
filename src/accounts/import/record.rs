//! A record of an import, and its result.

use std::fmt;

use time::OffsetDateTime;

use crate::accounts::entity::PasswordHash;

/// An account of the source.
#[derive(Clone, Debug)]
pub struct ImportRecord {
    /// The ID in the source, which the account keeps.
    pub id: i64,
    /// The email as stored in the source.
    pub email: String,
    /// The hash of the password, or `None` if the account cannot log in.
    pub password: Option<PasswordHash>,
    /// A digest of the password field in the source.
    pub password_digest: String,
    /// Why the password cannot be imported. An existing account keeps its password.
    pub without_password: Option<String>,
    /// Whether the account is enabled.
    pub is_active: bool,
    /// When the account was added to the source, if known.
    pub created: Option<OffsetDateTime>,
    /// The last login in the source.
    pub last_login: Option<OffsetDateTime>,
}

/// The fields that an update overwrites although they were changed here.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForcedFields {
    /// The email.
    pub email: bool,
    /// Whether the account is active.
    pub is_active: bool,
}

/// A field that was changed here since the last import, and that an update does not overwrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalChange {
    /// The email here, and the email in the source.
    Email(String, String),
    /// Whether the account is active here. In the source it is the opposite.
    IsActive(bool),
}

impl fmt::Display for LocalChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(here, source) => {
                write!(f, "email is \"{here}\" here, \"{source}\" in the source")
            }
            Self::IsActive(here) => write!(f, "is_active is {here} here, {} in the source", !here),
        }
    }
}

/// The effects of an update on an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateEffects {
    /// The fields that keep their local values.
    pub preserved: Vec<LocalChange>,
    /// Whether the tokens of the account are revoked.
    pub revoked: bool,
}

/// The result of importing a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account was added.
    Added,
    /// The existing account was updated.
    Updated(UpdateEffects),
    /// The existing account did not change.
    Unchanged(UpdateEffects),
    /// The record was not imported.
    Rejected(ImportConflict),
}

/// Why a record was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportConflict {
    /// An earlier record has the same ID.
    #[error("the ID occurs more than once")]
    Repeated,
    /// Another account has the ID.
    #[error("{0} has the same ID")]
    Id(String),
    /// Another account has the email, or an email that differs only in case.
    #[error("account {0} has the same email (case is ignored)")]
    Email(i64),
    /// The password cannot be imported.
    #[error("{0}")]
    Password(String),
    /// A deleted account had the ID.
    #[error("the ID belonged to a deleted account, and IDs are never reused")]
    Retired,
}
