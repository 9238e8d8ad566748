//! What the machine gives: hashes, which are what logins cost, and files, which are what connections cost.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::Finding;
use crate::{
    auth::{HashError, PasswordHasher},
    cli::password,
    config::Settings,
};

/// Rounds of as many hashes as there may be at once.
const ROUNDS: usize = 4;
/// Below it, a stolen hash is guessed at too fast.
const CHEAP: Duration = Duration::from_millis(5);
/// Above it, people wait.
const DEAR: Duration = Duration::from_secs(1);

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let hashing = match password::passwords(settings) {
        Ok(passwords) => {
            let measured = measure(&passwords, settings).await;
            measured.unwrap_or_else(|error| Finding::bad("hashing", error.to_string()))
        }
        Err(failure) => Finding::bad("hashing", failure.message),
    };
    vec![hashing, files(settings)]
}

async fn measure(passwords: &PasswordHasher, settings: &Settings) -> Result<Finding, HashError> {
    // The first one finds no memory that is warm.
    passwords.hash("a password").await?;
    let started = Instant::now();
    passwords.hash("a password").await?;
    let alone = started.elapsed();
    let at_once = settings
        .hash_limits()
        .max_concurrency(settings.argon2_memory_kib);
    let started = Instant::now();
    for _ in 0..ROUNDS {
        try_join_all((0..at_once).map(|_| passwords.hash("a password"))).await?;
    }
    let hashes = u32::try_from(ROUNDS * at_once).unwrap_or(u32::MAX);
    let rate = f64::from(hashes) / started.elapsed().as_secs_f64();
    let memory = u64::from(settings.argon2_memory_kib) * at_once as u64 / 1024;
    let said = format!(
        "{alone:.0?} a login, {at_once} at once: {rate:.0} logins a second, and {memory} MiB for them, if nothing else is at work here"
    );
    Ok(if alone < CHEAP {
        let advice = "A stolen hash is guessed at as fast: raise SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS";
        Finding::doubtful("hashing", format!("{said}. {advice}"))
    } else if alone > DEAR {
        let advice =
            "People wait for that: lower SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS";
        Finding::doubtful("hashing", format!("{said}. {advice}"))
    } else {
        Finding::good("hashing", said)
    })
}

fn files(settings: &Settings) -> Finding {
    let wanted = settings.connection_limits();
    let had = wanted.capped_by_nofile().connections;
    if had < wanted.connections {
        let said = format!(
            "this process may open files for {had} connections, not for {}: raise its limit (`ulimit -n`, LimitNOFILE=), or set SIGNET_CONNECTIONS",
            wanted.connections
        );
        return Finding::doubtful("connections", said);
    }
    Finding::good("connections", format!("{had} at once"))
}
