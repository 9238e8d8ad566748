//! `signet database copy`

use std::{fs, num::NonZeroU32, os::unix::fs::MetadataExt, time::Duration};

use super::{
    NewDatabase, TLS_HINT, check::reject_damage, contents, current, is_without_accounts, migrate,
    migration_status, unopened_from,
};
use crate::{
    accounts::{
        self, Access, AccountStore, Contents, CopyError, Database, DatabaseError, DatabaseUrl,
        Limits, ReadError,
    },
    api::PublicKeys,
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, counted, note, progress_bar, succeeded, warn},
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
        self.reject_same_database()?;
        for (flag, url) in [("--from", &self.from), ("--to", &self.to)] {
            if let Some(host) = accounts::host_without_tls(url) {
                warn(format!(
                    "{flag}: the connection to {host} may have no TLS; {TLS_HINT}"
                ));
            }
        }
        let (source, is_served) = open_source(&self.from, limits).await?;
        let (target, new) = open_target(&self.to, limits).await?;
        let copied = self.copy(&source, &target).await;
        source.close().await;
        target.close().await;
        let (copied, in_maintenance) = copied?;
        if let Some(new) = new {
            new.publish(&target).await?;
        }
        self.report(&copied, in_maintenance, is_served, settings)
            .map_err(succeeded)
    }

    fn reject_same_database(&self) -> Result<(), CliError> {
        // A file may have several names. A file that does not exist is a different file.
        let file = |flag, url| match parse(flag, url)? {
            DatabaseUrl::File(path) => Ok(fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))),
            _ => Ok::<_, CliError>(None),
        };
        let (from, to) = (file("--from", &self.from)?, file("--to", &self.to)?);
        if self.from == self.to || (from.is_some() && from == to) {
            return Err(CliError::usage("--from and --to are the same database"));
        }
        Ok(())
    }

    /// Returns the contents of both databases, and whether the source was in maintenance.
    async fn copy(
        &self,
        source: &AccountStore,
        target: &AccountStore,
    ) -> Result<(Contents, bool), CliError> {
        if self.replace && !self.yes {
            self.ask(target).await?;
        }
        let stop = signal::stop()?;
        let prepare = async {
            let counts = source.row_counts().await.map_err(in_flag("--from"))?;
            let template = "{bar:40} {percent} %, {per_sec}, {eta} left";
            let bar = progress_bar(self.output.json, template);
            bar.set_length(counts.iter().map(|(_, rows)| rows).sum());
            bar.enable_steady_tick(Duration::from_millis(200));
            let prepared = source.copy_to(target, self.replace, |rows| bar.inc(rows));
            let prepared = prepared.await.map_err(failed);
            bar.finish_and_clear();
            prepared
        };
        let prepared = tokio::select! {
            biased;
            () = stop => return Err(CliError::interrupted()),
            prepared = prepare => prepared?,
        };
        let copied = (prepared.contents, prepared.in_maintenance);
        // A signal does not interrupt the commit, because its result would be unknown.
        prepared.commit().await.map_err(failed)?;
        Ok(copied)
    }

    /// Asks whether the rows of the target may be deleted.
    async fn ask(&self, target: &AccountStore) -> Result<(), CliError> {
        let counts = target.row_counts().await.map_err(in_flag("--to"))?;
        let rows = counts.iter().filter(|(_, count)| *count > 0);
        let rows: Vec<_> = rows.map(|(name, count)| counted(*count, name)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let question = format!(
            "Delete {} in {}?",
            rows.join(", "),
            config::DatabaseUrl(self.to.clone()).masked()
        );
        question::ask(&question, "no rows were changed")
    }

    fn report(
        &self,
        copied: &Contents,
        in_maintenance: bool,
        is_served: bool,
        settings: &Settings,
    ) -> Result<(), CliError> {
        contents::print(copied, self.output)?;
        if in_maintenance {
            note(
                "the rows of both databases are equal; the source is in maintenance, so no change of an account is lost",
            );
        } else if is_served {
            warn(
                "a service or command may use the source, which is not in maintenance: logins and changes since the start of the copy are \
                 not in the target; stop the service before the copy, or run `signet database maintenance on`",
            );
        } else {
            note(
                "the rows of both databases are equal; no service used the source at the start of the copy",
            );
        }
        let to_postgres = matches!(DatabaseUrl::parse(&self.to), Ok(DatabaseUrl::Postgres(_)));
        if to_postgres && !self.output.json {
            // PostgreSQL has no folder for the files of secrets.
            let signing = match settings.public_keys() {
                PublicKeys::Absent => "SIGNET_JWT_SECRET_FILE",
                PublicKeys::Published => "SIGNET_JWT_KEYS_FILE, SIGNET_JWT_SECRET_FILE",
                PublicKeys::Sign => "SIGNET_JWT_KEYS_FILE",
            };
            confirm(format!(
                "next step: set SIGNET_DATABASE_URL to the new database, and {signing} and SIGNET_JWT_PREVIOUS_SECRETS_FILE to the \
                 files with the secrets, which are not in the database"
            ))?;
        }
        Ok(())
    }
}

/// Parses the URL of a flag.
fn parse(flag: &str, url: &str) -> Result<DatabaseUrl, CliError> {
    let parsed =
        DatabaseUrl::parse(url).map_err(|error| unopened_from(flag, error).of_settings())?;
    let is_postgres = matches!(parsed, DatabaseUrl::Postgres(_));
    if is_postgres && config::DatabaseUrl(url.to_owned()).has_password() {
        let error = CliError::usage(format!(
            "{flag}: the URL contains a password, and other users of this machine can read flags"
        ));
        return Err(error.hint("set the password in ~/.pgpass, or in PGPASSWORD"));
    }
    Ok(parsed)
}

/// Opens the source. Also returns whether another process uses the source.
async fn open_source(url: &str, limits: Limits) -> Result<(AccountStore, bool), CliError> {
    let location = parse("--from", url)?;
    let uses_file = match &location {
        DatabaseUrl::File(path) => accounts::is_file_in_use(path),
        _ => false,
    };
    match location {
        DatabaseUrl::Memory => return Err(CliError::usage("--from is a database in memory")),
        DatabaseUrl::File(path) if !path.exists() => {
            return Err(format!("--from: the file {} does not exist", path.display()).into());
        }
        _ => {}
    }
    // With only one connection, all other connections to the source belong to other processes.
    let limits = Limits {
        connections: NonZeroU32::MIN,
        ..limits
    };
    let db = accounts::open_with(url, limits, Access::Read).await;
    let db = db.map_err(|error| unopened_from("--from", error))?;
    // Damage may also be in the tables that the next checks read.
    let damages = AccountStore::new(db.clone(), limits).damages().await;
    let damages = damages.map_err(in_flag("--from"))?;
    reject_damage(damages.as_deref()).map_err(|error| error.in_context("--from"))?;
    reject_newer(&db, "--from").await?;
    let source = current(db, limits).await.map_err(|error| {
        error
            .in_context("--from")
            .hint("run `signet migrate --database-url URL` with the URL of --from")
    })?;
    let connections = source.other_connections().await;
    let connections = connections.map_err(in_flag("--from"))?;
    let diagnostics = source.diagnostics().await.map_err(in_flag("--from"))?;
    // A standby does not know the connections to its primary.
    let is_served = uses_file || connections > 0 || diagnostics.is_standby;
    Ok((source, is_served))
}

/// Rejects a database with migrations of a newer version: this version would not copy the new columns.
async fn reject_newer(db: &Database, flag: &str) -> Result<(), CliError> {
    let status = migration_status(Some(db)).await;
    let status = status.map_err(|error| error.in_context(flag))?;
    if status.unknown.is_empty() {
        return Ok(());
    }
    let error = CliError::from(format!(
        "{flag}: the database has migrations of a newer version: {}",
        status.unknown.join(", ")
    ));
    Err(error.hint("run the newer version of signet"))
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
            Some(new.map_err(|error| failed(accounts::uncreated(&path, &error)))?)
        }
        _ => None,
    };
    let url = new
        .as_ref()
        .map_or_else(|| url.to_owned(), NewDatabase::url);
    let db = accounts::open(&url, limits).await.map_err(failed)?;
    reject_newer(&db, "--to").await?;
    let target = AccountStore::new(db.clone(), limits);
    // The migrations of a database with accounts are not applied, because another version of the service may use the database.
    let is_unmigrated = is_without_accounts(&db, &target).await;
    if is_unmigrated.map_err(|error| error.in_context("--to"))? {
        migrate(&db)
            .await
            .map_err(|error| error.in_context("--to"))?;
    }
    Ok((target, new))
}

/// Returns a function that names the flag of the database that failed.
fn in_flag(flag: &str) -> impl Fn(DatabaseError) -> CliError {
    move |error| CliError::database(error).in_context(flag)
}

fn failed(error: CopyError) -> CliError {
    let hint = match &error {
        CopyError::NotEmpty(_) => Some("use an empty database, or delete the rows with --replace"),
        CopyError::Differs { .. } => Some("report this fault"),
        CopyError::Missed { .. } => Some("run `signet database check` on the source"),
        CopyError::Source(ReadError::Row { .. }) => Some("correct or delete the row in the source"),
        CopyError::Source(error) | CopyError::Target(error) => {
            accounts::operator_hint(error.cause())
        }
        CopyError::Commit(_) => Some("compare both databases with `signet database check`"),
    };
    let state = match error {
        CopyError::Commit(_) => "it is unknown whether the target has changed",
        _ => "no rows were changed",
    };
    CliError::from(format!("cannot copy the database: {error}"))
        .state(state)
        .hint_option(hint)
}
