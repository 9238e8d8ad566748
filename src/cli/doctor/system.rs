//! The resources of this system: the time and memory of logins, and the number of connections.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::check::Check;
use crate::{
    auth::{HashError, PasswordHasher},
    cli::password,
    config::Settings,
};

/// Number of batches of concurrent hashes.
const BATCHES: usize = 4;
/// If a hash is faster, an attacker with a stolen hash can test many passwords per second.
const MIN_HASH_TIME: Duration = Duration::from_millis(5);
/// If a hash is slower, users notice the delay of a login.
const MAX_HASH_TIME: Duration = Duration::from_secs(1);

pub(super) async fn run_checks(settings: &Settings) -> Vec<Check> {
    let hashing = match password::passwords(settings) {
        Ok(passwords) => {
            let measured = measure(&passwords, settings).await;
            measured.unwrap_or_else(|error| Check::bad("hashing", error.to_string()))
        }
        Err(error) => Check::bad("hashing", error.message),
    };
    vec![hashing, check_connections(settings)]
}

async fn measure(passwords: &PasswordHasher, settings: &Settings) -> Result<Check, HashError> {
    // The first hash is slower, since the system has not yet provided its memory.
    passwords.hash("a password").await?;
    let started = Instant::now();
    passwords.hash("a password").await?;
    let time = started.elapsed();
    let concurrency = settings
        .hash_limits()
        .max_concurrency(settings.argon2_memory_kib);
    let started = Instant::now();
    for _ in 0..BATCHES {
        try_join_all((0..concurrency).map(|_| passwords.hash("a password"))).await?;
    }
    let hashes = u32::try_from(BATCHES * concurrency).unwrap_or(u32::MAX);
    let rate = f64::from(hashes) / started.elapsed().as_secs_f64();
    let memory = u64::from(settings.argon2_memory_kib) * concurrency as u64 / 1024;
    let message = format!(
        "{time:.0?} a login, {concurrency} at once: {rate:.0} logins a second, and {memory} MiB for them, if nothing else is at work here"
    );
    Ok(if time < MIN_HASH_TIME {
        let advice = "A stolen hash is guessed at as fast: raise SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS";
        Check::doubtful("hashing", format!("{message}. {advice}"))
    } else if time > MAX_HASH_TIME {
        let advice =
            "People wait for that: lower SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS";
        Check::doubtful("hashing", format!("{message}. {advice}"))
    } else {
        Check::good("hashing", message)
    })
}

fn check_connections(settings: &Settings) -> Check {
    let configured = settings.connection_limits();
    let possible = configured.capped_by_nofile().connections;
    if possible < configured.connections {
        let message = format!(
            "this process may open files for {possible} connections, not for {}: raise its limit (`ulimit -n`, LimitNOFILE=), or set SIGNET_CONNECTIONS",
            configured.connections
        );
        return Check::doubtful("connections", message);
    }
    Check::good("connections", format!("{possible} at once"))
}
