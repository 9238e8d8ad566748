//! `signet user enable` and `signet user disable`

use super::{
    account::AccountArgs,
    context::Context,
    format::{change, failed, name},
};
use crate::cli::{error::CliError, output::OutputArgs};

#[derive(clap::Args)]
pub(in crate::cli) struct SetActive {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SetActive {
    pub(super) async fn run(&self, is_active: bool, context: &Context<'_>) -> Result<(), CliError> {
        let account = self.account.find(context.accounts).await?;
        let changed = context
            .accounts
            .set_active(account.id, is_active)
            .await
            .map_err(|error| failed(&account.email, &error))?;
        let state = if is_active { "enabled" } else { "disabled" };
        let Some(changed) = changed else {
            return self.output.confirm(
                format!("unchanged: {} is already {state}", name(&account)),
                change(false, &account),
            );
        };
        let event = format!("account_{state}");
        let text = format!("{state} {}", name(&changed));
        context.confirm_change(self.output, &event, text, &changed)
    }
}
