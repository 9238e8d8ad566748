//! `signet user`

mod account;
mod add;
mod context;
mod delete;
mod email;
mod format;
mod list;
mod passwd;
mod revoke;
mod set_active;
mod show;
mod unlock;

use clap::{ArgGroup, Subcommand};

use self::{account::AccountArgs, context::Context};
use super::{
    database::{self, Destination},
    error::CliError,
    import::Import,
};
use crate::{accounts::Access, config::Settings};

#[derive(Subcommand)]
pub(super) enum User {
    /// Add an account
    Add(add::Add),
    /// Bring in the accounts of a Django service
    Import(Import),
    #[command(flatten)]
    Existing(ExistingCommand),
}

/// A command for the accounts of an existing database.
#[derive(Subcommand)]
pub(super) enum ExistingCommand {
    /// List every account
    List(list::List),
    /// Show one account
    Show {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Set another password, which ends every token of the account
    Passwd(passwd::Passwd),
    /// Set another email, which ends every token of the account
    #[command(allow_missing_positional = true)]
    Email(email::Email),
    /// Let a disabled account obtain and refresh again
    Enable {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Let an account neither obtain nor refresh, until it is enabled
    Disable {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// End every token of an account, or of all; passwords stay good
    #[command(
        mut_group("account", |group| group.required(false)),
        group = ArgGroup::new("target").args(["email", "id", "all"]).required(true)
    )]
    Revoke(revoke::Revoke),
    /// Clear the failed logins of an account, or of a client address. Each login must pass both limits
    #[command(
        mut_group("account", |group| group.required(false)),
        group = ArgGroup::new("target").args(["email", "id", "address"]).required(true).multiple(true)
    )]
    Unlock(unlock::Unlock),
    /// Delete an account; its id is never used again
    Delete(delete::Delete),
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Add(command) => command.run(settings).await,
            Self::Import(command) => import(command, settings).await,
            Self::Existing(command) => command.run(settings).await,
        }
    }
}

impl ExistingCommand {
    async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let access = match self {
            Self::List(_) | Self::Show { .. } => Access::Read,
            _ => Access::Write,
        };
        let accounts = database::existing_users(settings, access).await?;
        let context = Context::new(&accounts, settings);
        let done = self.run_with(&context).await;
        accounts.close().await;
        done
    }

    async fn run_with(self, context: &Context<'_>) -> Result<(), CliError> {
        match self {
            Self::List(command) => command.run(context.accounts).await,
            Self::Show { account } => show::run(&account, context).await,
            Self::Passwd(command) => command.run(context).await,
            Self::Email(command) => command.run(context).await,
            Self::Enable { account } => set_active::run(&account, true, context).await,
            Self::Disable { account } => set_active::run(&account, false, context).await,
            Self::Revoke(command) => command.run(context).await,
            Self::Unlock(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
        }
    }
}

async fn import(command: Import, settings: &Settings) -> Result<(), CliError> {
    let (accounts, mut destination) = if command.dry_run {
        let accounts = database::users_to_try(settings).await?;
        (accounts, Destination::default())
    } else {
        database::users_to_import(settings).await?
    };
    let done = command
        .run(&accounts, &mut destination, settings.audit())
        .await;
    // The accounts are closed before a new database is dropped: the drop deletes a database that was not published.
    accounts.close().await;
    done
}
