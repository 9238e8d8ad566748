//! The database, its migrations, and times in the database that are later than the clock.

use std::time::Instant;

use migration::MigrationStatus;
use time::OffsetDateTime;

use super::check::Check;
use crate::{
    accounts::{Access, AccountStore, Database, DatabaseError, DatabaseUrl},
    auth::{Clock, RateLimiter},
    cli::database,
    config::Settings,
};

/// Tokens have times in whole seconds. A replica rejects a token of another replica whose clock is further ahead than this.
const MAX_CLOCK_DIFFERENCE_MS: i128 = 1_000;

/// A change sets the cutoff to the next second, and each further change in the same second adds a second.
const NORMAL_CUTOFF_SECONDS: i64 = 10;

pub(super) async fn run_checks(settings: &Settings) -> Vec<Check> {
    let limits = settings.database_limits();
    let db = match database::open_existing(settings, limits, Access::ReadOnly).await {
        Ok(Some(db)) => db,
        Ok(None) => {
            let url = settings.database_url.masked();
            let message = format!(
                "{url} is not there yet: `signet migrate` makes it, and `signet serve` too"
            );
            return vec![Check::doubtful("database", message)];
        }
        Err(error) => return vec![Check::bad("database", error.message)],
    };
    let accounts = AccountStore::new(db.clone(), limits);
    let mut checks = Vec::new();
    if let Err(error) = check_all(settings, &db, &accounts, &mut checks).await {
        checks = vec![Check::bad(
            "database",
            format!("it does not answer: {error}"),
        )];
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
        message += ", in memory: all accounts end with the process";
    }
    checks.push(Check::good("database", message));
    let status = match database::migration_status(Some(db)).await {
        Ok(status) => status,
        Err(error) => {
            checks.push(Check::bad("migrations", error.message));
            return Ok(());
        }
    };
    checks.push(check_migrations(&status));
    let now = Clock::system().now();
    if !status.pending.is_empty() {
        checks.push(check_clock(now, diagnostics.now, None));
        return Ok(());
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
    let subject = "migrations";
    match (status.check(), status.pending.as_slice()) {
        (Err(error), _) => Check::bad(subject, error.to_string()),
        (Ok(()), []) => Check::good(subject, format!("all {} are applied", status.applied.len())),
        (Ok(()), pending) => Check::doubtful(
            subject,
            format!(
                "pending: {}. `signet migrate` applies them, and `signet serve` too",
                pending.join(", ")
            ),
        ),
    }
}

/// Checks for cutoffs in the future: their number and the latest cutoff in Unix seconds. The service never lowers a cutoff, since a
/// lower cutoff would make revoked tokens valid again.
fn check_cutoffs(future: Option<(i64, i64)>) -> Check {
    let Some((accounts, latest)) = future else {
        return Check::good("cutoffs", "no cutoff is in the future");
    };
    let latest = OffsetDateTime::from_unix_timestamp(latest)
        .map_or_else(|_| latest.to_string(), |latest| latest.to_string());
    let who = match accounts {
        1 => "1 account has a cutoff".to_owned(),
        accounts => format!("{accounts} accounts have a cutoff"),
    };
    Check::doubtful(
        "cutoffs",
        format!(
            "{who} in the future, the latest at {latest}: a clock was wrong. Logins work, and tokens issued until then refresh for \
             longer than the refresh window. `signet user list --json` shows `tokens_valid_after`"
        ),
    )
}

/// Checks for counts that a clock has stored which was ahead. The running service lowers them to the maximum.
fn check_rate_limits(ahead: u64) -> Check {
    let counts = match ahead {
        0 => return Check::good("rate limits", "no count is ahead of the clock"),
        1 => "1 count is".to_owned(),
        ahead => format!("{ahead} counts are"),
    };
    Check::doubtful(
        "rate limits",
        format!(
            "{counts} further ahead of the clock than the maximum: a clock was wrong. The service lowers them to the maximum within \
             ten minutes; `signet user unlock` clears them at once"
        ),
    )
}

/// Compares this clock with the clock of the database and with the last login of all accounts.
fn check_clock(
    here: OffsetDateTime,
    database: Option<OffsetDateTime>,
    last_login: Option<OffsetDateTime>,
) -> Check {
    let advice = "Let NTP set it (`timedatectl set-ntp true`)";
    if let Some(last_login) = last_login.filter(|last_login| *last_login > here) {
        let message = format!(
            "{here} is before {last_login}, when an account last logged in: tokens would be of the past. {advice}. If this clock is \
             right, an earlier clock was wrong: find the accounts with a `last_login` in the future (`signet user list --json`), run \
             `signet user revoke-tokens` for each, and then set `last_login` to NULL in their rows of the table `users`"
        );
        return Check::bad("clock", message);
    }
    let Some(database) = database else {
        return Check::good("clock", format!("{here}: no login is later"));
    };
    let difference = (here - database).whole_milliseconds();
    if difference.abs() > MAX_CLOCK_DIFFERENCE_MS {
        let message = format!(
            "it is {difference} ms off the database's, and replicas must agree to the second. {advice}"
        );
        return Check::doubtful("clock", message);
    }
    Check::good("clock", format!("{difference} ms off the database's"))
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{super::check::Verdict, check_clock};

    #[test]
    fn clock_is_compared_with_database_and_last_login() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let (second, hour) = (Duration::SECOND, Duration::HOUR);
        for (database, last_login, verdict) in [
            (None, None, Verdict::Good),
            (Some(now - second), Some(now - hour), Verdict::Good),
            (Some(now + second * 2), None, Verdict::Doubtful),
            (Some(now - hour), None, Verdict::Doubtful),
            (None, Some(now + second), Verdict::Bad),
        ] {
            let check = check_clock(now, database, last_login);
            assert_eq!(check.verdict, verdict, "{check}");
        }
    }
}
