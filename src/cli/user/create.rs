//! `signet user create`

use super::format::{change, failed, name, valid_email};
use crate::{
    accounts::{Account, AccountStore, ChangeError, LARGEST_GIVEN_ID, NewAccount, PasswordHash},
    auth::Clock,
    cli::{database, error::CliError, output::OutputArgs, password::PasswordArgs},
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Create {
    /// The email, in any case
    email: String,
    /// The ID of the account. The default is the next free ID
    #[arg(long, value_parser = parse_id)]
    id: Option<i64>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Create {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let email = valid_email(&self.email)?;
        // The password is checked before the database is created, so that a rejected password leaves no empty database.
        let hash = if database::missing(settings)?.is_some() {
            Some(self.password.hash(settings, &email).await?)
        } else {
            None
        };
        let accounts = database::open_or_create(settings).await?;
        let added = self.insert(&accounts, settings, email, hash).await;
        accounts.close().await;
        let added = added?;
        settings.audit().changed("account_added", &added);
        self.output
            .confirm(format!("created {}", name(&added)), change(true, &added))
    }

    async fn insert(
        &self,
        accounts: &AccountStore,
        settings: &Settings,
        email: String,
        hash: Option<PasswordHash>,
    ) -> Result<Account, CliError> {
        // A duplicate email is reported before the password prompt.
        let existing = accounts.by_email(&email).await;
        if existing.map_err(CliError::database)?.is_some() {
            return Err(failed(&email, &ChangeError::EmailTaken));
        }
        let hash = match hash {
            Some(hash) => hash,
            None => self.password.hash(settings, &email).await?,
        };
        let account = NewAccount {
            id: self.id,
            email: email.clone(),
            password: Some(hash),
        };
        let added = accounts.add(account, Clock::system().now()).await;
        added.map_err(|error| failed(&email, &error))
    }
}

/// Parses the ID of a new account.
fn parse_id(text: &str) -> Result<i64, String> {
    let id = text.parse().ok();
    id.filter(|id| (1..=LARGEST_GIVEN_ID).contains(id))
        .ok_or_else(|| {
            format!(
                "not a whole number from 1 to {LARGEST_GIVEN_ID}: larger IDs are reserved for accounts without --id"
            )
        })
}
