//! `signet verify-compat`: compares the responses of the Django service with the responses of this service.

pub mod cases;
mod report;
mod service;

use self::{report::Report, service::Service};
use super::{error::CliError, output::print, password};

#[derive(clap::Args)]
pub(super) struct VerifyCompat {
    /// URL of the Django service, such as <https://old.example.com>
    #[arg(long, value_name = "URL")]
    old: String,
    /// URL of this service
    #[arg(long, value_name = "URL")]
    new: String,
    /// Email of an account that both services have, for logins and refreshes
    #[arg(long, requires = "password_stdin")]
    email: Option<String>,
    /// Read the password of the account from standard input
    #[arg(long, requires = "email")]
    password_stdin: bool,
}

impl VerifyCompat {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let account = match &self.email {
            Some(email) => Some((email, password::from_stdin()?)),
            None => None,
        };
        let old = Service::new("old", &self.old)?;
        let new = Service::new("new", &self.new)?;
        let mut report = Report::default();
        for case in cases::all() {
            let old = old.send(&case.request).await?;
            let new = new.send(&case.request).await?;
            report.compare(&case, &old, &new);
        }
        if let Some((email, password)) = account {
            report.exchange_tokens(&old, &new, email, &password).await?;
        }
        for line in &report.expected {
            print(format!("expected    {line}"))?;
        }
        for line in &report.unexpected {
            print(format!("UNEXPECTED  {line}"))?;
        }
        let unexpected = report.unexpected.len();
        print(format!(
            "{} the same, {} differ as expected, {unexpected} differ unexpectedly",
            report.same,
            report.expected.len()
        ))?;
        if unexpected > 0 {
            return Err("the two services differ".into());
        }
        Ok(())
    }
}
