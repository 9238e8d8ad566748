//! `signet user delete`

use std::io::{self, IsTerminal};

use super::{
    account::AccountArgs,
    context::Context,
    format::{change, failed, name},
};
use crate::{
    accounts::Account,
    cli::{
        error::CliError,
        output::{OutputArgs, print_error},
    },
};

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
            confirm(&account)?;
        }
        context
            .accounts
            .delete(account.id)
            .await
            .map_err(|error| failed(&account.email, &error))?;
        context.audit.changed("account_deleted", &account);
        self.output.confirm(
            format!("deleted {}", name(&account)),
            change(true, &account),
        )
    }
}

fn confirm(account: &Account) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        let error = CliError::from("cannot ask for confirmation without a terminal");
        return Err(error.hint("confirm with --yes"));
    }
    print_error(format_args!(
        "Delete {}? Its ID is never reused. [y/N] ",
        name(account)
    ));
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| format!("cannot read the answer: {error}"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err("canceled; nothing was deleted".into())
    }
}
