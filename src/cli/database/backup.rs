//! `signet database backup`

use std::path::PathBuf;

use serde_json::json;

use super::{NewDatabase, location, open_accounts};
use crate::{
    accounts::{Access, DatabaseUrl},
    cli::{error::CliError, output::OutputArgs},
    config::Settings,
};

#[derive(clap::Args)]
pub(in crate::cli) struct Backup {
    /// The file to create
    file: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl Backup {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        if let DatabaseUrl::Postgres(_) = location(settings)? {
            let error = CliError::from("this command makes backups of SQLite only");
            return Err(error.hint("use pg_dump for a database of PostgreSQL"));
        }
        let accounts = open_accounts(settings, Access::Read).await?;
        let failed = |error: String| {
            CliError::from(format!("cannot create {}: {error}", self.file.display()))
                .hint("use a file that does not exist, in a folder with write permission")
        };
        if self.file.exists() {
            return Err(failed("the file exists".to_owned()));
        }
        let new = NewDatabase::create(&self.file).map_err(|error| failed(error.to_string()))?;
        let backup = accounts.backup(new.temp_path()).await;
        accounts.close().await;
        backup.map_err(CliError::database)?;
        new.persist()?;
        self.output.confirm(
            format!("wrote {}", self.file.display()),
            json!({ "file": self.file.to_string_lossy() }),
        )
    }
}
