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
    /// Create a new secret, and keep the old secret as a previous secret, whose tokens are still accepted
    Rotate(rotate::Rotate),
    /// Show the secrets: age of their files, and number of tokens that each has verified since the last reload
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
