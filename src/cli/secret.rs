//! `signet secret`, and the secrets that sign tokens.

mod files;
mod load;
mod read;
mod rotate;
mod status;
mod targets;
mod write;

use super::error::CliError;
use crate::config::Settings;
pub(super) use files::{files_with_secrets, generated_files};
pub(super) use load::{configured, generated, peek, reload};
pub(super) use read::insecure_permissions;

#[derive(clap::Subcommand)]
pub(super) enum Secret {
    /// Sign with a new secret, and still accept tokens of the old one
    Rotate(rotate::Rotate),
    /// Show when the file of each secret was changed, and how many tokens each has verified since the last reload
    Status(status::Status),
}

impl Secret {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Rotate(command) => command.run(settings),
            Self::Status(command) => command.run(settings).await,
        }
    }
}
