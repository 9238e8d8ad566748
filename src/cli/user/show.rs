//! `signet user show`

use serde_json::Value;

use super::{account::AccountArgs, context::Context, format::as_json};
use crate::cli::{
    error::CliError,
    output::{OutputArgs, Table, print_json},
};

#[derive(clap::Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Show {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let account = self.account.find(context.accounts).await?;
        let failures = context
            .settings
            .throttle()
            .failures(context.accounts, context.now(), &account)
            .await
            .map_err(CliError::database)?;
        let mut fields = as_json(&account);
        fields["failures"] = failures.into();
        if self.output.json {
            return print_json(fields);
        }
        let mut table = Table::new(["FIELD", "VALUE"]);
        for (name, value) in fields.as_object().into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            table.row([name.clone(), value]);
        }
        table.print().map(drop)
    }
}
