//! `signet user list`

use std::fmt::Write as _;

use super::format::{as_json, line};
use crate::{
    accounts::{AccountStore, Details, Listed, Summary},
    cli::{error::CliError, output::write},
    text::printable_json,
};

/// Accounts per query.
const PAGE: u64 = 500;

#[derive(clap::Args)]
pub(in crate::cli) struct List {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Show at most N accounts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Show only accounts with a larger ID than this, such as the last ID of the list before
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
}

impl List {
    pub(super) async fn run(self, accounts: &AccountStore) -> Result<(), CliError> {
        if self.json {
            return self.print_array(accounts).await;
        }
        self.each_page(accounts, |accounts: Vec<Summary>| {
            let lines: Vec<_> = accounts.into_iter().map(line).collect();
            write(&(lines.join("\n") + "\n"))
        })
        .await
    }

    /// Prints one JSON array in pages.
    async fn print_array(&self, accounts: &AccountStore) -> Result<(), CliError> {
        let mut separator = "[";
        self.each_page(accounts, |accounts: Vec<Details>| {
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

    /// Passes all pages to `print`, until `print` returns false.
    async fn each_page<T: Listed>(
        &self,
        accounts: &AccountStore,
        mut print: impl FnMut(Vec<T>) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        let mut after = self.after;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let page: Vec<T> = accounts
                .page(after, left.min(PAGE))
                .await
                .map_err(CliError::database)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id());
            left -= page.len() as u64;
            if !print(page)? {
                break;
            }
        }
        Ok(())
    }
}
