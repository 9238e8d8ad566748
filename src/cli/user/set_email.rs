//! `signet user set-email`

use super::{
    account::AccountArgs,
    context::Context,
    format::{failed, line, valid_email},
};
use crate::cli::{error::CliError, output::print};

#[derive(clap::Args)]
pub(in crate::cli) struct SetEmail {
    #[command(flatten)]
    account: AccountArgs,
    /// The new email
    new: String,
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
            return print(format!(
                "unchanged, the account already has this email: {}",
                line(&account)
            ));
        };
        context.audit.changed("email_changed", &changed);
        print(format!("email set, tokens revoked: {}", line(&changed)))
    }
}
