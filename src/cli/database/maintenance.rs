//! `signet database maintenance`

use serde_json::json;

use super::open_accounts;
use crate::{
    accounts::Access,
    auth::Clock,
    cli::{error::CliError, output::OutputArgs},
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Maintenance {
    /// Whether the database rejects changes of accounts. Refreshes still work
    #[arg(value_enum)]
    state: State,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    On,
    Off,
}

impl Maintenance {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let accounts = open_accounts(settings, Access::Write).await?;
        let changed = match self.state {
            State::On => accounts.begin_maintenance(Clock::system().now()).await,
            State::Off => accounts.end_maintenance().await,
        };
        accounts.close().await;
        let changed = changed.map_err(CliError::database)?;
        let text = match self.state {
            State::On => {
                "the database rejects changes of accounts; logins get 503, and refreshes work"
            }
            State::Off => "the database accepts changes of accounts",
        };
        let is_on = self.state == State::On;
        self.output
            .confirm(text, json!({ "maintenance": is_on, "changed": changed }))
    }
}
