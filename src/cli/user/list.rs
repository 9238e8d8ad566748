//! `signet user list`

use std::fmt::Write as _;

use time::format_description::well_known::Rfc3339;

use super::format::{as_json, status};
use crate::{
    accounts::{AccountStore, Details},
    cli::{
        error::CliError,
        output::{OutputArgs, Table, note, write},
    },
    text::printable_json,
};

/// Accounts per query.
const PAGE: u64 = 500;

#[derive(clap::Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    output: OutputArgs,
    /// Show at most N accounts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Show only accounts with a larger ID than this, such as the last ID of the list before
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
}

impl List {
    pub(super) async fn run(self, accounts: &AccountStore) -> Result<(), CliError> {
        if self.output.json {
            return self.print_array(accounts).await;
        }
        let mut header = Some(["ID", "EMAIL", "STATUS", "LAST LOGIN"]);
        self.each_page(accounts, |accounts| {
            let mut table = Table::new(header.take());
            for account in accounts {
                let last_login = account.last_login.and_then(|at| at.format(&Rfc3339).ok());
                table.row([
                    account.id.to_string(),
                    account.email.clone(),
                    status(&account).into(),
                    last_login.unwrap_or_default(),
                ]);
            }
            table.print()
        })
        .await?;
        if header.is_some() {
            note("no accounts");
        }
        Ok(())
    }

    /// Prints one JSON array in pages.
    async fn print_array(&self, accounts: &AccountStore) -> Result<(), CliError> {
        let mut separator = "[";
        self.each_page(accounts, |accounts| {
            let mut text = String::new();
            for account in accounts {
                let json = format!("{:#}", as_json(account)).replace('\n', "\n  ");
                // Writing to a string does not fail.
                let _ = write!(text, "{separator}\n  {}", printable_json(&json));
                separator = ",";
            }
            write(&text)
        })
        .await?;
        let end = if separator == "[" { "[]\n" } else { "\n]\n" };
        write(end).map(drop)
    }

    /// Calls `print` with each page, until `print` returns false.
    async fn each_page(
        &self,
        accounts: &AccountStore,
        mut print: impl FnMut(Vec<Details>) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        let mut after = self.after;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let page = accounts.page(after, left.min(PAGE)).await;
            let page = page.map_err(CliError::database)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            left -= page.len() as u64;
            if !print(page)? {
                break;
            }
        }
        Ok(())
    }
}
