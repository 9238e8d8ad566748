//! Why a login or a token was rejected, and failures of the service.

use std::time::Duration;

use super::{HashError, RateLimited, TokenError};
use crate::accounts::{self, DatabaseError};

/// A login was rejected. The response is the same for the first five causes.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No account has this email.
    #[error("no account has this email")]
    UnknownAccount,
    /// The account has no usable password.
    #[error("the account has no usable password")]
    UnusablePassword,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The account was changed while the password was being verified.
    #[error("the account was changed during the login")]
    ConcurrentModification,
    /// Too many logins failed.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The client disconnected before its password was hashed.
    #[error("the client disconnected")]
    ClientDisconnected,
    /// The service failed.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl From<DatabaseError> for LoginError {
    fn from(error: DatabaseError) -> Self {
        InternalError::from(error).into()
    }
}

impl From<HashError> for LoginError {
    fn from(error: HashError) -> Self {
        InternalError::from(error).into()
    }
}

impl LoginError {
    /// Returns the value of the label `reason` in metrics.
    pub(super) const fn metric_label(&self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::UnusablePassword => "unusable_password",
            Self::WrongPassword => "wrong_password",
            Self::Disabled => "disabled",
            Self::ConcurrentModification => "overtaken",
            Self::RateLimited(_) => "throttled",
            Self::ClientDisconnected => "caller_gone",
            Self::Internal(error) => error.metric_label(),
        }
    }
}

/// A presented token was rejected. The variants are in the order of the checks of a refresh. A verification does not need `orig_iat`.
#[derive(Debug, thiserror::Error)]
pub enum TokenRejection {
    /// The token does not verify.
    #[error("the token is invalid: {0}")]
    InvalidToken(#[from] TokenError),
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The claim `user_id` or `username` is missing or empty.
    #[error("the token has no account ID")]
    NoSubject,
    /// The account does not exist, or its email has changed.
    #[error("the account was deleted, or has another email")]
    UnknownAccount,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The claim `orig_iat` is missing or zero.
    #[error("orig_iat is missing")]
    NoOrigIat,
    /// The refresh window has passed.
    #[error("the refresh window has ended")]
    WindowPassed,
    /// The tokens of the account were revoked after the login.
    #[error("the token was revoked")]
    Revoked {
        /// The ID of the account.
        user_id: i64,
    },
    /// The client sent too many invalid tokens.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The service failed.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl From<DatabaseError> for TokenRejection {
    fn from(error: DatabaseError) -> Self {
        InternalError::from(error).into()
    }
}

impl TokenRejection {
    /// Returns the value of the label `reason` in metrics.
    pub(super) const fn metric_label(&self) -> &'static str {
        match self {
            Self::InvalidToken(_) => "invalid",
            Self::Expired => "expired",
            Self::NoSubject => "no_subject",
            Self::UnknownAccount => "unknown_account",
            Self::Disabled => "disabled",
            Self::NoOrigIat => "no_orig_iat",
            Self::WindowPassed => "window_passed",
            Self::Revoked { .. } => "revoked",
            Self::RateLimited(_) => "throttled",
            Self::Internal(error) => error.metric_label(),
        }
    }
}

/// Time until a client should retry when the database is unavailable.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The service failed. The request is not the cause.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DatabaseError),
    /// A password could not be hashed.
    #[error("password: {0}")]
    Password(#[from] HashError),
}

impl InternalError {
    /// Returns the value of the label `reason` in metrics.
    pub(super) const fn metric_label(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Password(HashError::Overloaded(_)) => "busy",
            Self::Password(_) => "hashing",
        }
    }

    /// Returns the time after which the client should retry, if a retry may succeed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Database(error) => accounts::is_temporary(error).then_some(DEFAULT_RETRY_AFTER),
            Self::Password(HashError::Overloaded(overloaded)) => Some(overloaded.wait),
            Self::Password(_) => None,
        }
    }
}
