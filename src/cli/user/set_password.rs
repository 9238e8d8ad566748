//! `signet user set-password`

use super::{
    account::AccountArgs,
    context::Context,
    format::{change, failed, name},
};
use crate::cli::{error::CliError, output::OutputArgs, password::PasswordArgs};

#[derive(clap::Args)]
pub(in crate::cli) struct SetPassword {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SetPassword {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let account = self.account.find(context.accounts).await?;
        let password = self.password.hash(context.settings, &account.email).await?;
        let account = context
            .accounts
            .set_password(account.id, password, || context.now())
            .await
            .map_err(|error| failed(&account.email, &error))?;
        context.audit.changed("password_changed", &account);
        // A new password lifts a lockout.
        context
            .settings
            .throttle()
            .clear_account(context.accounts, context.now(), &account)
            .await
            .map_err(CliError::database)?;
        self.output.confirm(
            format!(
                "set the password of {}, and revoked its tokens",
                name(&account)
            ),
            change(true, &account),
        )
    }
}
