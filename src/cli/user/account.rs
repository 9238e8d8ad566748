//! The arguments that name an account.

use std::fmt;

use crate::{
    accounts::{Account, AccountStore, DatabaseError, email},
    cli::error::CliError,
};

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
    pub(super) async fn find(&self, accounts: &AccountStore) -> Result<Account, CliError> {
        let found = match (&self.email, self.id) {
            (_, Some(id)) => accounts.by_id(id).await,
            (Some(email), None) => by_email(accounts, email).await,
            (None, None) => Ok(None),
        };
        found.map_err(CliError::database)?.ok_or_else(|| {
            CliError::from(format!("no account has {self}"))
                .hint("`signet user list` lists all accounts")
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

/// Finds an account by its exact email, and then by the email without white space. Emails of imported accounts may contain white space.
async fn by_email(accounts: &AccountStore, email: &str) -> Result<Option<Account>, DatabaseError> {
    let trimmed = email::strip(email);
    match accounts.by_email(email).await? {
        None if trimmed != email => accounts.by_email(trimmed).await,
        found => Ok(found),
    }
}
