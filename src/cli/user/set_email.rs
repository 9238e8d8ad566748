//! `signet user email`

use super::{
    account::AccountArgs,
    context::Context,
    format::{failed, line, valid_email},
};
use crate::cli::{error::CliError, output::print};

#[derive(clap::Args)]
pub(in crate::cli) struct Email {
    #[command(flatten)]
    account: AccountArgs,
    /// The email to set
    new: String,
}

impl Email {
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
                "unchanged, the account has this email already: {}",
                line(&account)
            ));
        };
        context.audit.changed("email_changed", &changed);
        print(format!(
            "email changed; every earlier token is revoked: {}",
            line(&changed)
        ))
    }
}
