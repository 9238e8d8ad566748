//! `signet secret`, and the secrets that sign tokens.

mod files;
mod generate;
mod load;
mod read;
mod revoke;
mod rotate;
mod rotate_key;
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
    /// Print a new secret or private key
    Generate(generate::Generate),
    /// Create a new secret, and keep the old secret as a previous secret, whose tokens are still accepted
    Rotate(rotate::Rotate),
    /// End the publication of a leaked key for ES256, whose tokens are then rejected
    Revoke(revoke::Revoke),
    /// Show the secrets and the published keys: age of their files, end of their acceptance, and number of tokens that each has verified
    Status(status::Status),
}

impl Secret {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::Generate(command) => command.run(),
            Self::Rotate(command) => command.run(settings).await,
            Self::Revoke(command) => command.run(settings).await,
            Self::Status(command) => command.run(settings).await,
        }
    }
}
