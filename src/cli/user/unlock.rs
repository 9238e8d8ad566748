//! `signet user unlock`

use serde_json::json;

use super::{
    account::AccountArgs,
    context::Context,
    format::{as_json, name},
};
use crate::{
    auth::ip_bucket,
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, counted, print_json},
    },
};

#[derive(clap::Args)]
pub(in crate::cli) struct Unlock {
    #[command(flatten)]
    account: Option<AccountArgs>,
    /// Client address: an IP address, or `unix` for all clients of Unix sockets
    #[arg(long, value_parser = parse_address)]
    address: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Unlock {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        let (accounts, now) = (context.accounts, context.now());
        let throttle = context.settings.throttle();
        let mut cleared = Vec::new();
        if let Some(account) = &self.account {
            let account = account.find(accounts).await?;
            let failures = throttle.clear_account(accounts, now, &account).await;
            let failures = failures.map_err(CliError::database)?;
            context.audit.changed("account_unlocked", &account);
            let account_json = as_json(&account);
            cleared.push(json!({ "account": account_json, "failures": failures }));
            self.confirm_text(failures, &name(&account))?;
        }
        if let Some(address) = &self.address {
            let failures = throttle.clear_address(accounts, now, address).await;
            let failures = failures.map_err(CliError::database)?;
            context.audit.address_unlocked(address, failures);
            cleared.push(json!({ "address": address, "failures": failures }));
            self.confirm_text(failures, &format!("the address {address}"))?;
        }
        if self.output.json {
            print_json(json!({ "cleared": cleared }))?;
        }
        Ok(())
    }

    fn confirm_text(&self, failures: u64, subject: &str) -> Result<(), CliError> {
        if self.output.json {
            return Ok(());
        }
        let failures = counted(failures, "failed login");
        confirm(format!("cleared {failures} of {subject}"))
    }
}

/// Parses an address of the rate limiter: an IP address, an IPv6 network as `user show` prints the network, or `unix`.
fn parse_address(text: &str) -> Result<String, String> {
    if text == "unix" {
        return Ok(ip_bucket(None));
    }
    let network = text.strip_suffix("/64").filter(|text| text.contains(':'));
    match network.unwrap_or(text).parse() {
        Ok(address) => Ok(ip_bucket(Some(address))),
        Err(_) => {
            Err("not an IP address, such as 192.0.2.1 or 2001:db8::1, and not `unix`".to_owned())
        }
    }
}
