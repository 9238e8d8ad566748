//! `signet user enable` and `signet user disable`

use super::{
    account::AccountArgs,
    context::Context,
    format::{failed, line},
};
use crate::cli::{error::CliError, output::print};

pub(super) async fn run(
    account: &AccountArgs,
    is_active: bool,
    context: &Context<'_>,
) -> Result<(), CliError> {
    let account = account.find(context.accounts).await?;
    let changed = context
        .accounts
        .set_active(account.id, is_active)
        .await
        .map_err(|error| failed(&account.email, &error))?;
    let state = if is_active { "enabled" } else { "disabled" };
    let Some(changed) = changed else {
        return print(format!(
            "unchanged, the account is {state} already: {}",
            line(&account)
        ));
    };
    context.audit.changed(&format!("account_{state}"), &changed);
    print(format!("{state} {}", line(&changed)))
}
