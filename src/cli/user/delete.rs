//! `signet user delete`

use super::{
    account::AccountArgs,
    context::Context,
    format::{failed, name},
};
use crate::cli::{error::CliError, output::OutputArgs, question};

#[derive(clap::Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    account: AccountArgs,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Delete {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let account = self.account.find(context.accounts).await?;
        if !self.yes {
            let question = format!("Delete {}? Its ID is never reused.", name(&account));
            question::ask(&question, "nothing was deleted")?;
        }
        context
            .accounts
            .delete(account.id)
            .await
            .map_err(|error| failed(&account.email, &error))?;
        let text = format!("deleted {}", name(&account));
        context.confirm_change(self.output, "account_deleted", text, &account)
    }
}
