//! `signet secret revoke`: stops the publication of a leaked key, although tokens of the key have not expired.

use serde_json::json;

use super::load::peek;
use crate::{
    accounts::Access,
    cli::{database, error::CliError, output::OutputArgs},
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Revoke {
    /// ID of the key for ES256, as `signet secret status` and `/.well-known/jwks.json` show it
    // The ID may start with a hyphen.
    #[arg(allow_hyphen_values = true)]
    kid: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Revoke {
    pub(super) async fn run(&self, settings: &Settings) -> Result<(), CliError> {
        let kid = &self.kid;
        let secrets = peek(settings)?;
        let mut keys = secrets.iter().flat_map(|secrets| &secrets.keys);
        if keys.any(|key| key.public.kid == *kid) {
            let message = format!("the key {kid} is still in SIGNET_JWT_KEYS_FILE");
            return Err(CliError::from(message).hint(
                "write only a new key to the file of this machine, run this command again, and then copy the file to every replica and reload \
                 each replica",
            ));
        }
        let accounts = database::open_accounts(settings, Access::Write).await?;
        if !accounts.revoke_key(kid).await.map_err(CliError::database)? {
            return Err(CliError::from(format!("no published key has the ID {kid}"))
                .hint("`/.well-known/jwks.json` lists the published keys"));
        }
        self.output.confirm(
            format!(
                "revoked the key {kid}; within a minute, the service rejects its tokens; other services accept its tokens until they \
                 fetch the keys again, for at most ten minutes"
            ),
            json!({ "action": "revoked", "kid": kid }),
        )
    }
}
