//! `signet database copy`

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{NewDatabase, contents, current, migrate, unopened_from};
use crate::{
    accounts::{self, Access, AccountStore, Contents, CopyError, DatabaseUrl, Limits, OpenError},
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, counted, is_quiet, note},
        question, signal,
    },
    config::{self, Settings},
};

#[derive(clap::Args)]
pub(in crate::cli) struct Copy {
    /// The database to read: `sqlite:PATH` or `postgres://USER@HOST/DATABASE` with the password in PGPASSWORD
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to write, in the same format. The database must have no rows
    #[arg(long, value_name = "URL")]
    to: String,
    /// Delete all rows of the target first
    #[arg(long)]
    replace: bool,
    /// Do not ask before rows are deleted
    #[arg(long, requires = "replace")]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Copy {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let limits = settings.database_limits();
        let source = open_source(&self.from, limits).await?;
        let (target, new) = open_target(&self.to, limits).await?;
        let copied = self.copy(&source, &target).await;
        source.close().await;
        target.close().await;
        let copied = copied?;
        if let Some(new) = new {
            new.publish(&target).await?;
        }
        self.report(&copied)
    }

    async fn copy(
        &self,
        source: &AccountStore,
        target: &AccountStore,
    ) -> Result<Contents, CliError> {
        let stop = signal::stop()?;
        let accounts = source.count().await.map_err(CliError::database)?;
        if self.replace && !self.yes {
            let rows = target.count().await.map_err(CliError::database)?;
            let rows = counted(rows.unsigned_abs(), "account");
            question::ask(
                &format!("Delete {rows} of the target?"),
                "no rows were changed",
            )?;
        }
        let bar = bar(accounts.unsigned_abs(), self.output.json);
        let copy = source.copy_to(target, self.replace, |rows| bar.inc(rows));
        let copied = tokio::select! {
            biased;
            () = stop => Err(CliError::interrupted()),
            copied = copy => copied.map_err(failed),
        };
        bar.finish_and_clear();
        copied
    }

    fn report(&self, copied: &Contents) -> Result<(), CliError> {
        contents::print(copied, self.output)?;
        if self.output.json {
            return Ok(());
        }
        note(
            "the rows of both databases are equal; changes of the source since the start of the copy are not in the target",
        );
        let to_postgres = matches!(DatabaseUrl::parse(&self.to), Ok(DatabaseUrl::Postgres(_)));
        if to_postgres {
            // PostgreSQL has no folder for the secret.
            confirm(
                "next step: set SIGNET_DATABASE_URL to the new database, and SIGNET_JWT_SECRET_FILE to the file with the secret, \
                 which is not in the database",
            )?;
        }
        Ok(())
    }
}

/// Parses the URL of a flag.
fn parse(flag: &str, url: &str) -> Result<DatabaseUrl, CliError> {
    if config::DatabaseUrl(url.to_owned()).has_password() {
        let error = CliError::usage(format!(
            "{flag}: the URL contains a password, and other users of this machine can read flags"
        ));
        return Err(error.hint("set the password in PGPASSWORD or ~/.pgpass"));
    }
    DatabaseUrl::parse(url).map_err(|error| unopened_from(flag, error).of_settings())
}

async fn open_source(url: &str, limits: Limits) -> Result<AccountStore, CliError> {
    match parse("--from", url)? {
        DatabaseUrl::Memory => return Err(CliError::usage("--from is a database in memory")),
        DatabaseUrl::File(path) if !path.exists() => {
            return Err(format!("--from: the file {} does not exist", path.display()).into());
        }
        _ => {}
    }
    let db = accounts::open_with(url, limits, Access::Read).await;
    let db = db.map_err(|error| unopened_from("--from", error))?;
    current(db, limits)
        .await
        .map_err(|error| error.in_context("--from"))
}

/// Opens or creates the target, and applies its migrations. A new file gets its path after the copy.
async fn open_target(
    url: &str,
    limits: Limits,
) -> Result<(AccountStore, Option<NewDatabase>), CliError> {
    let failed = |error| unopened_from("--to", error);
    let new = match parse("--to", url)? {
        DatabaseUrl::Memory => return Err(CliError::usage("--to is a database in memory")),
        DatabaseUrl::File(path) if !path.exists() => {
            let new = NewDatabase::create(&path);
            Some(new.map_err(|source| failed(OpenError::Make { path, source }))?)
        }
        _ => None,
    };
    let url = new
        .as_ref()
        .map_or_else(|| url.to_owned(), NewDatabase::url);
    let db = accounts::open(&url, limits).await.map_err(failed)?;
    migrate(&db)
        .await
        .map_err(|error| error.in_context("--to"))?;
    Ok((AccountStore::new(db, limits), new))
}

fn failed(error: CopyError) -> CliError {
    let hint = match &error {
        CopyError::NotEmpty(_) => Some("use an empty database, or delete the rows with --replace"),
        CopyError::Differs { .. } => Some("report this fault"),
        CopyError::Database(error) => accounts::operator_hint(error),
    };
    CliError::from(format!("cannot copy the database: {error}"))
        .state("no rows were changed")
        .hint_option(hint)
}

/// Returns a progress bar, which is hidden if standard error is no terminal.
fn bar(accounts: u64, json: bool) -> ProgressBar {
    if json || is_quiet() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {percent} %, {per_sec}, {eta} left";
    let bar = ProgressBar::new(accounts);
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
