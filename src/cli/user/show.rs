//! `signet user show`

use serde_json::Value;

use super::{account::AccountArgs, context::Context, format::as_json};
use crate::{
    cli::{error::CliError, output::print},
    text::printable,
};

pub(super) async fn run(account: &AccountArgs, context: &Context<'_>) -> Result<(), CliError> {
    let account = account.find(context.accounts).await?;
    let failures = context
        .settings
        .throttle()
        .failures(context.accounts, context.now(), &account)
        .await
        .map_err(CliError::database)?;
    let mut fields = as_json(&account);
    fields["failures"] = failures.into();
    for (name, value) in fields.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => printable(text),
            other => other.to_string(),
        };
        print(format!("{name:20} {value}"))?;
    }
    Ok(())
}
