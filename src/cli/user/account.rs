//! The arguments that name an account.

use std::fmt;

use super::Account;
use crate::accounts::{DatabaseError, Users, email};
use crate::cli::error::CliError;

/// Names an account: by its email, or by `--id`.
#[derive(clap::Args)]
#[group(id = "account", required = true, multiple = false)]
pub(in crate::cli) struct AccountArgs {
    /// The account's email, in any case
    email: Option<String>,
    /// The ID of the account, instead of the email
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    id: Option<i64>,
}

impl AccountArgs {
    /// Returns the account, or the error that no account has this email or ID.
    pub(super) async fn find(&self, users: &Users) -> Result<Account, CliError> {
        let found = match (&self.email, self.id) {
            (_, Some(id)) => users.by_id(id).await,
            (Some(email), None) => by_email(users, email).await,
            (None, None) => Ok(None),
        };
        found.map_err(CliError::database)?.ok_or_else(|| {
            format!("no account has {self}; `signet user list` shows them all").into()
        })
    }
}

impl fmt::Display for AccountArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.email, self.id) {
            (_, Some(id)) => write!(f, "the ID {id}"),
            (Some(email), None) => write!(f, "the email {email}"),
            (None, None) => Ok(()),
        }
    }
}

/// Finds an email as it was given, and then without the white space around it: the email of an imported account may have some.
async fn by_email(users: &Users, email: &str) -> Result<Option<Account>, DatabaseError> {
    let trimmed = email::strip(email);
    match users.by_email(email).await? {
        None if trimmed != email => users.by_email(trimmed).await,
        found => Ok(found),
    }
}
