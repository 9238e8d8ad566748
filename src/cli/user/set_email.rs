//! `signet user set-email`

use super::{
    account::AccountArgs,
    context::Context,
    format::{change, failed, name, valid_email},
};
use crate::cli::{error::CliError, output::OutputArgs};

#[derive(clap::Args)]
pub(in crate::cli) struct SetEmail {
    #[command(flatten)]
    account: AccountArgs,
    /// The new email
    new: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl SetEmail {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let account = self.account.find(context.accounts).await?;
        let new = valid_email(&self.new)?;
        let changed = context
            .accounts
            .set_email(account.id, new.clone(), || context.now())
            .await
            .map_err(|error| failed(&new, &error))?;
        let Some(changed) = changed else {
            return self.output.confirm(
                format!("unchanged: {} already has this email", name(&account)),
                change(false, &account),
            );
        };
        let text = format!(
            "set the email of {}, and revoked its tokens",
            name(&changed)
        );
        context.confirm_change(self.output, "email_changed", text, &changed)
    }
}
