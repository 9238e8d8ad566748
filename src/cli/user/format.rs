//! Accounts as text and as JSON.

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    accounts::{Account, ChangeError, Details, email},
    cli::error::CliError,
    text::printable,
};

/// Names an account, such as `account 1 (you@example.com)`.
pub(super) fn name(account: &Account) -> String {
    format!("account {} ({})", account.id, printable(&account.email))
}

/// Returns whether an account can log in: `active`, `disabled`, or `no password`.
pub(super) fn status(account: &Details) -> &'static str {
    match (account.is_active, account.usable_password) {
        (false, _) => "disabled",
        (true, false) => "no password",
        (true, true) => "active",
    }
}

/// Returns the fields of an account without the password hash.
pub(super) fn as_json(account: impl Into<Details>) -> Value {
    let account = account.into();
    let rfc3339 = |at: OffsetDateTime| at.format(&Rfc3339).ok();
    json!({
        "id": account.id,
        "email": account.email,
        "is_active": account.is_active,
        "usable_password": account.usable_password,
        "created": rfc3339(account.created),
        "last_login": account.last_login.map(rfc3339),
        "last_login_from": account.last_login_from,
        "password_changed": rfc3339(account.password_changed),
        "tokens_valid_after": account.tokens_valid_after,
    })
}

/// Returns the JSON of a command that changes an account: whether the account changed, and the account afterwards.
pub(super) fn change(is_changed: bool, account: impl Into<Details>) -> Value {
    json!({ "changed": is_changed, "account": as_json(account) })
}

/// The error that an account could not be changed.
pub(super) fn failed(email: &str, error: &ChangeError) -> CliError {
    CliError::from(format!("{email}: {error}")).hint_option(error.hint())
}

/// Returns the email without white space around it, or the error that the email is invalid.
pub(super) fn valid_email(email: &str) -> Result<String, CliError> {
    let stripped = email::strip(email);
    if email::is_valid(stripped) {
        return Ok(stripped.to_owned());
    }
    Err(CliError::usage(format!(
        "\"{email}\" is not an email address: an account with this email could never log in"
    )))
}
