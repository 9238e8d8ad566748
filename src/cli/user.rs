//! `signet user`

mod account;
mod context;
mod create;
mod delete;
mod format;
mod list;
mod revoke_tokens;
mod set_active;
mod set_email;
mod set_password;
mod show;
mod unlock;

use clap::{ArgGroup, Subcommand};

use self::context::Context;
use super::{
    database::{self, Destination},
    error::CliError,
    import::Import,
};
use crate::{accounts::Access, config::Settings};

#[derive(Subcommand)]
pub(super) enum User {
    /// Create an account
    #[command(alias = "add")]
    Create(create::Create),
    /// Import the accounts of a Django service
    Import(Import),
    #[command(flatten)]
    Existing(ExistingCommand),
}

/// A command for the accounts of an existing database.
#[derive(Subcommand)]
pub(super) enum ExistingCommand {
    /// List all accounts
    List(list::List),
    /// Show one account
    Show(show::Show),
    /// Set the password of an account, and revoke its tokens
    #[command(alias = "passwd")]
    SetPassword(set_password::SetPassword),
    /// Set the email of an account, and revoke its tokens
    #[command(alias = "email", allow_missing_positional = true)]
    SetEmail(set_email::SetEmail),
    /// Allow a disabled account to log in and refresh tokens again
    Enable(set_active::SetActive),
    /// Reject logins and refreshes of an account until it is enabled
    Disable(set_active::SetActive),
    /// Revoke all tokens of an account, or of all accounts. Passwords do not change
    #[command(
        alias = "revoke",
        mut_group("account", |group| group.required(false)),
        group = ArgGroup::new("target").args(["email", "id", "all"]).required(true)
    )]
    RevokeTokens(revoke_tokens::RevokeTokens),
    /// Reset the rate limit of an account or of a client address. A login must pass both limits
    #[command(
        mut_group("account", |group| group.required(false)),
        group = ArgGroup::new("target").args(["email", "id", "address"]).required(true).multiple(true)
    )]
    Unlock(unlock::Unlock),
    /// Delete an account. Its ID is never reused
    Delete(delete::Delete),
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Create(command) => command.run(settings).await,
            Self::Import(command) => import(command, settings).await,
            Self::Existing(command) => command.run(settings).await,
        }
    }
}

impl ExistingCommand {
    async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let access = match self {
            Self::List(_) | Self::Show(_) => Access::Read,
            _ => Access::Write,
        };
        let accounts = database::open_accounts(settings, access).await?;
        let context = Context::new(&accounts, settings);
        let done = self.run_with(&context).await;
        accounts.close().await;
        done
    }

    async fn run_with(self, context: &Context<'_>) -> Result<(), CliError> {
        match self {
            Self::List(command) => command.run(context.accounts).await,
            Self::Show(command) => command.run(context).await,
            Self::SetPassword(command) => command.run(context).await,
            Self::SetEmail(command) => command.run(context).await,
            Self::Enable(command) => command.run(true, context).await,
            Self::Disable(command) => command.run(false, context).await,
            Self::RevokeTokens(command) => command.run(context).await,
            Self::Unlock(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
        }
    }
}

async fn import(command: Import, settings: &Settings) -> Result<(), CliError> {
    let (accounts, mut destination) = if command.dry_run {
        let accounts = database::open_for_dry_run(settings).await?;
        (accounts, Destination::default())
    } else {
        database::open_for_import(settings).await?
    };
    let done = command
        .run(&accounts, &mut destination, settings.audit())
        .await;
    // The accounts are closed before a new database is dropped: the drop deletes a database that was not published.
    accounts.close().await;
    done
}
