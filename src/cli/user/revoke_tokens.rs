//! `signet user revoke-tokens`

use super::{
    account::AccountArgs,
    context::Context,
    format::{failed, name},
};
use serde_json::json;

use crate::cli::{
    error::CliError,
    output::{OutputArgs, counted},
};

#[derive(clap::Args)]
pub(in crate::cli) struct RevokeTokens {
    #[command(flatten)]
    account: Option<AccountArgs>,
    /// Revoke the tokens of all accounts
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl RevokeTokens {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let Some(account) = &self.account else {
            let accounts = context.accounts.revoke_all(|| context.now()).await;
            let accounts = accounts.map_err(CliError::database)?;
            context.audit.all_revoked(accounts);
            let text = format!("revoked the tokens of {}", counted(accounts, "account"));
            return self.output.confirm(text, json!({ "accounts": accounts }));
        };
        let account = account.find(context.accounts).await?;
        let revoked = context
            .accounts
            .revoke(account.id, || context.now())
            .await
            .map_err(|error| failed(&account.email, &error))?;
        let text = format!("revoked the tokens of {}", name(&revoked));
        context.confirm_change(self.output, "tokens_revoked", text, &revoked)
    }
}
