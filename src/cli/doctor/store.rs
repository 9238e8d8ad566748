//! The database, its migrations, and its clock.

use std::time::Instant;

use time::OffsetDateTime;

use super::Finding;
use crate::{
    accounts::{Database, DatabaseError, Location, Users},
    auth::{Clock, RateLimiter},
    cli::database,
    config::Settings,
};

/// Tokens are dated to the second, and a replica must not see another's as of the future.
const DRIFT_MS: i128 = 1_000;

/// A change moves the cutoff to the next second, and several changes in one second move it further: seconds.
const SETTLES: i64 = 10;

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let limits = settings.database_limits();
    let db = match database::open_read_only(settings, limits).await {
        Ok(Some(db)) => db,
        Ok(None) => {
            let url = settings.database_url.masked();
            let said = format!(
                "{url} is not there yet: `signet migrate` makes it, and `signet serve` too"
            );
            return vec![Finding::doubtful("database", said)];
        }
        Err(failure) => return vec![Finding::bad("database", failure.message)],
    };
    let users = Users::new(db.clone(), limits);
    let findings = match found(settings, &db, &users).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::bad(
            "database",
            format!("it does not answer: {error}"),
        )],
    };
    users.close().await;
    findings
}

async fn found(
    settings: &Settings,
    db: &Database,
    users: &Users,
) -> Result<Vec<Finding>, DatabaseError> {
    let asked = Instant::now();
    let vitals = users.vitals().await?;
    let took = asked.elapsed();
    let mut said = format!("{} answers in {took:.1?}", vitals.version);
    if settings
        .database_location()
        .is_ok_and(|location| location == Location::Memory)
    {
        said += ", in memory: all accounts end with the process";
    }
    let mut findings = vec![Finding::good("database", said)];
    let standing = match database::standing(Some(db)).await {
        Ok(standing) => standing,
        Err(failure) => {
            findings.push(Finding::bad("migrations", failure.message));
            return Ok(findings);
        }
    };
    findings.push(match (standing.check(), standing.pending.as_slice()) {
        (Err(error), _) => Finding::bad("migrations", error.to_string()),
        (Ok(()), []) => Finding::good(
            "migrations",
            format!("all {} are applied", standing.applied.len()),
        ),
        (Ok(()), pending) => Finding::doubtful(
            "migrations",
            format!(
                "pending: {}. `signet migrate` applies them, and `signet serve` too",
                pending.join(", ")
            ),
        ),
    });
    let latest = if standing.pending.is_empty() {
        users.latest().await?
    } else {
        None
    };
    let now = Clock::system().now();
    findings.push(clock(now, vitals.now, latest));
    if standing.pending.is_empty() {
        findings.push(cutoffs(
            users.cutoffs_after(now.unix_timestamp() + SETTLES).await?,
        ));
        let throttle = RateLimiter::new(Some(settings.rate_limits()));
        findings.push(rate_limits(throttle.ahead(users, now).await?));
    }
    Ok(findings)
}

/// Cutoffs after a clock was set back. They stay as they are: a lower cutoff would revive tokens.
fn cutoffs(ahead: Option<(i64, i64)>) -> Finding {
    let Some((accounts, latest)) = ahead else {
        return Finding::good("cutoffs", "no cutoff is in the future");
    };
    let latest = OffsetDateTime::from_unix_timestamp(latest)
        .map_or_else(|_| latest.to_string(), |latest| latest.to_string());
    let who = match accounts {
        1 => "1 account has a cutoff".to_owned(),
        accounts => format!("{accounts} accounts have a cutoff"),
    };
    Finding::doubtful(
        "cutoffs",
        format!(
            "{who} in the future, the latest at {latest}: a clock was wrong. Logins work, and tokens issued until then refresh for \
             longer than the refresh window. `signet user list --json` shows `tokens_valid_after`"
        ),
    )
}

/// Counts after a clock was set back: the running service lowers them to the maximum.
fn rate_limits(ahead: u64) -> Finding {
    let counts = match ahead {
        0 => return Finding::good("rate limits", "no count is ahead of the clock"),
        1 => "1 count is".to_owned(),
        ahead => format!("{ahead} counts are"),
    };
    Finding::doubtful(
        "rate limits",
        format!(
            "{counts} further ahead of the clock than the maximum: a clock was wrong. The service lowers them to the maximum within \
             ten minutes; `signet user unlock` clears them at once"
        ),
    )
}

/// Against the clocks that this one must agree with.
fn clock(
    here: OffsetDateTime,
    there: Option<OffsetDateTime>,
    latest: Option<OffsetDateTime>,
) -> Finding {
    let advice = "Let NTP set it (`timedatectl set-ntp true`)";
    if let Some(latest) = latest.filter(|latest| *latest > here) {
        let said = format!(
            "{here} is before {latest}, when an account last logged in: tokens would be of the past. {advice}"
        );
        return Finding::bad("clock", said);
    }
    let Some(there) = there else {
        return Finding::good("clock", format!("{here}: no login is later"));
    };
    let drift = (here - there).whole_milliseconds();
    if drift.abs() > DRIFT_MS {
        let said = format!(
            "it is {drift} ms off the database's, and replicas must agree to the second. {advice}"
        );
        return Finding::doubtful("clock", said);
    }
    Finding::good("clock", format!("{drift} ms off the database's"))
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{super::Verdict, clock};

    #[test]
    fn a_clock_is_held_against_the_database_s_and_against_what_happened() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let (second, hour) = (Duration::SECOND, Duration::HOUR);
        for (there, latest, verdict) in [
            (None, None, Verdict::Good),
            (Some(now - second), Some(now - hour), Verdict::Good),
            (Some(now + second * 2), None, Verdict::Doubtful),
            (Some(now - hour), None, Verdict::Doubtful),
            (None, Some(now + second), Verdict::Bad),
        ] {
            let finding = clock(now, there, latest);
            assert_eq!(finding.verdict, verdict, "{finding}");
        }
    }
}
