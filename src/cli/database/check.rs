//! `signet database check`

use serde_json::json;

use super::{contents, existing_users};
use crate::{
    accounts::Access,
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, print_json},
    },
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    output: OutputArgs,
}

impl Check {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let accounts = existing_users(settings, Access::Read).await?;
        let checked = async {
            let damages = accounts.damages().await?;
            let contents = match damages.as_deref() {
                None | Some([]) => Some(accounts.contents().await?),
                Some(_) => None,
            };
            Ok((damages, contents))
        };
        let checked = checked.await;
        accounts.close().await;
        let (damages, contents) = checked.map_err(CliError::database)?;
        let Some(contents) = contents else {
            let damages = damages.unwrap_or_default().join("; ");
            let error = CliError::from(format!("the database is damaged: {damages}"));
            return Err(error.hint("stop the service, and restore a backup"));
        };
        if self.output.json {
            let contents = contents::as_json(&contents);
            let is_damaged = damages.map(|damages| !damages.is_empty());
            return print_json(json!({ "damaged": is_damaged, "contents": contents }));
        }
        confirm(match damages {
            Some(_) => "the database has no damage, and all migrations are applied",
            None => "all rows can be read, and all migrations are applied",
        })?;
        contents::print(&contents, self.output)
    }
}
