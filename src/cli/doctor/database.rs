//! The database, its migrations, and times in the database that are later than the clock.

use std::time::Instant;

use migration::MigrationStatus;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::check::Check;
use crate::{
    accounts::{self, Access, AccountStore, Database, DatabaseError, DatabaseUrl},
    auth::{Clock, RateLimiter},
    cli::{database, error::CliError, output::counted},
    config::Settings,
};

/// Tokens have times in whole seconds. A replica rejects a token of another replica whose clock is further ahead than this.
const MAX_CLOCK_DIFFERENCE_MS: i128 = 1_000;

/// A change sets the cutoff to the next second, and each further change in the same second adds a second.
const NORMAL_CUTOFF_SECONDS: i64 = 10;

pub(super) async fn run_checks(settings: &Settings) -> Vec<Check> {
    let mut checks = check_tls(settings);
    checks.extend(check_database(settings).await);
    checks
}

/// Warns about passwords and hashes that other machines of the network could read.
fn check_tls(settings: &Settings) -> Vec<Check> {
    let Some(host) = accounts::host_without_tls(settings.database_url.as_str()) else {
        return Vec::new();
    };
    let message = format!("the connection to {host} may have no TLS");
    vec![Check::warning("database TLS", message).hint(database::TLS_HINT)]
}

async fn check_database(settings: &Settings) -> Vec<Check> {
    let limits = settings.database_limits();
    let db = match database::open_existing(settings, limits, Access::ReadOnly).await {
        Ok(Some(db)) => db,
        Ok(None) => {
            let url = settings.database_url.masked();
            let message = format!("{url} does not exist yet");
            let check = Check::warning("database", message);
            return vec![check.hint("`signet serve` and `signet migrate` create the database")];
        }
        Err(error) => return vec![Check::failed("database", error)],
    };
    let accounts = AccountStore::new(db.clone(), limits);
    let mut checks = Vec::new();
    if let Err(error) = check_all(settings, &db, &accounts, &mut checks).await {
        checks = vec![Check::failed("database", CliError::database(error))];
    }
    accounts.close().await;
    checks
}

async fn check_all(
    settings: &Settings,
    db: &Database,
    accounts: &AccountStore,
    checks: &mut Vec<Check>,
) -> Result<(), DatabaseError> {
    let started = Instant::now();
    let diagnostics = accounts.diagnostics().await?;
    let time = started.elapsed();
    let mut message = format!("{} answers in {time:.1?}", diagnostics.version);
    if matches!(settings.database_location(), Ok(DatabaseUrl::Memory)) {
        message += ", in memory: all accounts are lost when the process ends";
    }
    checks.push(if diagnostics.is_standby {
        Check::error(
            "database",
            message + ", but is a standby, which rejects all changes",
        )
        .hint("use the address of the primary")
    } else {
        Check::ok("database", message)
    });
    let status = match database::migration_status(Some(db)).await {
        Ok(status) => status,
        Err(error) => {
            checks.push(Check::failed("migrations", error));
            return Ok(());
        }
    };
    checks.push(check_migrations(&status));
    let now = Clock::system().now();
    if !status.pending.is_empty() {
        checks.push(check_clock(now, diagnostics.now, None));
        return Ok(());
    }
    if let Some(since) = accounts.maintenance().await? {
        checks.push(check_maintenance(since));
    }
    if (settings.jwt_keys_file.is_some() || settings.jwt_issuer.is_some())
        && let Some(missing) = accounts.missing_privileges().await?
    {
        let message = format!("the role lacks {missing}: the service cannot publish its keys");
        checks.push(Check::error("privileges", message).hint(
            "run the GRANT of the section Roles in docs/guides/postgresql.md as the owner of the tables",
        ));
    }
    let last_login = accounts.latest_login().await?;
    checks.push(check_clock(now, diagnostics.now, last_login));
    let normal = now.unix_timestamp() + NORMAL_CUTOFF_SECONDS;
    checks.push(check_cutoffs(accounts.cutoffs_after(normal).await?));
    let limiter = RateLimiter::new(Some(settings.rate_limits()));
    checks.push(check_rate_limits(limiter.ahead(accounts, now).await?));
    Ok(())
}

fn check_migrations(status: &MigrationStatus) -> Check {
    let name = "migrations";
    match (status.check(), status.pending.as_slice()) {
        (Err(error), _) => {
            let check = Check::error(name, error.to_string());
            check.hint(error.hint().unwrap_or_default())
        }
        (Ok(()), []) => Check::ok(
            name,
            format!("{} applied, none pending", status.applied.len()),
        ),
        (Ok(()), pending) => Check::warning(name, format!("pending: {}", pending.join(", ")))
            .hint("`signet serve` and `signet migrate` apply the migrations"),
    }
}

/// Checks for cutoffs in the future: their number and the latest cutoff in Unix seconds. The service never lowers a cutoff, since a
/// lower cutoff would make revoked tokens valid again.
fn check_cutoffs(future: Option<(i64, i64)>) -> Check {
    let Some((accounts, latest)) = future else {
        return Check::ok("cutoffs", "no cutoff is in the future");
    };
    let latest = format_seconds(latest);
    let accounts = counted(u64::try_from(accounts).unwrap_or_default(), "account");
    Check::warning(
        "cutoffs",
        format!(
            "{accounts} with a cutoff in the future, the latest at {latest}: a clock was wrong; tokens issued until then can be \
             refreshed for longer than the refresh window"
        ),
    )
    .hint("`signet user list --json` shows the cutoffs as `tokens_valid_after`; logins work")
}

/// Warns about a maintenance, which someone may have forgotten. The time is in Unix seconds.
fn check_maintenance(since: i64) -> Check {
    let since = format_seconds(since);
    let message = format!("on since {since}: logins and changes of accounts are rejected with 503");
    Check::warning("maintenance", message).hint("`signet database maintenance off` ends it")
}

/// Formats Unix seconds.
fn format_seconds(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
    at.and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// Checks for counts that a clock has stored which was ahead. The running service lowers them to the maximum.
fn check_rate_limits(ahead: u64) -> Check {
    if ahead == 0 {
        return Check::ok("rate limits", "no counter is in the future");
    }
    let counters = counted(ahead, "counter");
    Check::warning(
        "rate limits",
        format!("{counters} too far in the future: a clock was wrong"),
    )
    .hint("the service corrects the counters within ten minutes; `signet user unlock` clears them immediately")
}

/// Compares this clock with the clock of the database and with the last login of all accounts.
fn check_clock(
    here: OffsetDateTime,
    database: Option<OffsetDateTime>,
    last_login: Option<OffsetDateTime>,
) -> Check {
    const SET_CLOCK: &str = "set the clock by NTP (`timedatectl set-ntp true`)";
    let name = "clock";
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    if let Some(last_login) = last_login.filter(|last_login| *last_login > here) {
        let message = format!(
            "{} is before the last login of an account, {}: new tokens would be too old",
            text(here),
            text(last_login)
        );
        return Check::error(name, message).hint(format!(
            "{SET_CLOCK}; if the clock is right, an earlier clock was wrong: find the accounts with a `last_login` in the future \
             (`signet user list`), run `signet user revoke-tokens` for each, and then set `last_login` to NULL in their rows of \
             the table `users`"
        ));
    }
    let Some(database) = database else {
        return Check::ok(name, format!("{}, after the last login", text(here)));
    };
    let difference = (here - database).whole_milliseconds();
    if difference.abs() > MAX_CLOCK_DIFFERENCE_MS {
        let message = format!(
            "{difference} ms ahead of the clock of the database; the clocks of replicas must agree to the second"
        );
        return Check::warning(name, message).hint(SET_CLOCK);
    }
    Check::ok(
        name,
        format!("{difference} ms ahead of the clock of the database"),
    )
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{super::check::Status, check_clock};

    #[test]
    fn clock_is_compared_with_database_and_last_login() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let (second, hour) = (Duration::SECOND, Duration::HOUR);
        for (database, last_login, status) in [
            (None, None, Status::Ok),
            (Some(now - second), Some(now - hour), Status::Ok),
            (Some(now + second * 2), None, Status::Warning),
            (Some(now - hour), None, Status::Warning),
            (None, Some(now + second), Status::Error),
        ] {
            let check = check_clock(now, database, last_login);
            assert_eq!(check.status, status, "{check:?}");
        }
    }
}
