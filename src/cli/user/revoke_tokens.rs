//! `signet user revoke-tokens`

use super::{
    account::AccountArgs,
    context::Context,
    format::{counted, failed, line},
};
use crate::cli::{error::CliError, output::print};

#[derive(clap::Args)]
pub(in crate::cli) struct RevokeTokens {
    #[command(flatten)]
    account: Option<AccountArgs>,
    /// Revoke the tokens of all accounts
    #[arg(long)]
    all: bool,
}

impl RevokeTokens {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let Some(account) = &self.account else {
            let accounts = context.accounts.revoke_all(|| context.now()).await;
            let accounts = accounts.map_err(CliError::database)?;
            context.audit.all_revoked(accounts);
            return print(format!("tokens revoked: {}", counted(accounts, "account")));
        };
        let account = account.find(context.accounts).await?;
        context
            .accounts
            .revoke(account.id, || context.now())
            .await
            .map_err(|error| failed(&account.email, &error))?;
        context.audit.changed("tokens_revoked", &account);
        print(format!("tokens revoked: {}", line(&account)))
    }
}
