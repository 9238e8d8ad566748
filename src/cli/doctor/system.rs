//! The resources of this system: the time and memory of logins, and the number of connections.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::check::Check;
use crate::{
    auth::{HashError, PasswordHasher},
    cli::password,
    config::Settings,
};

/// Number of single hashes, and number of batches of concurrent hashes.
const BATCHES: usize = 4;
/// If a hash is faster, an attacker with a stolen hash can test many passwords per second.
const MIN_HASH_TIME: Duration = Duration::from_millis(5);
/// If a hash is slower, users notice the delay of a login.
const MAX_HASH_TIME: Duration = Duration::from_secs(1);

pub(super) async fn run_checks(settings: &Settings) -> Vec<Check> {
    let hashing = match password::passwords(settings) {
        Ok(passwords) => {
            let measured = measure(&passwords, settings).await;
            measured.unwrap_or_else(|error| Check::error("hashing", error.to_string()))
        }
        Err(error) => Check::failed("hashing", error),
    };
    vec![hashing, check_connections(settings)]
}

async fn measure(passwords: &PasswordHasher, settings: &Settings) -> Result<Check, HashError> {
    // The first hash is slower, since the system has not yet provided its memory.
    passwords.hash("a password").await?;
    // The shortest time is the time without other work of the machine. An attacker needs only this time for a hash.
    let mut time = Duration::MAX;
    for _ in 0..BATCHES {
        let started = Instant::now();
        passwords.hash("a password").await?;
        time = time.min(started.elapsed());
    }
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
        "{time:.0?} per hash, {concurrency} concurrent; at most {rate:.0} logins per second with {memory} MiB on this machine"
    );
    Ok(if time < MIN_HASH_TIME {
        Check::warning(
            "hashing",
            format!("{message}; stolen hashes can be guessed as fast"),
        )
        .hint("raise SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS")
    } else if time > MAX_HASH_TIME {
        Check::warning("hashing", format!("{message}; users notice the delay"))
            .hint("lower SIGNET_ARGON2_MEMORY_KIB or SIGNET_ARGON2_ITERATIONS")
    } else {
        Check::ok("hashing", message)
    })
}

fn check_connections(settings: &Settings) -> Check {
    let configured = settings.connection_limits();
    let possible = configured
        .capped_by_nofile(settings.admin_listen.is_some())
        .connections;
    if possible < configured.connections {
        let message = format!(
            "too few file descriptors for {} connections; at most {possible} are possible",
            configured.connections
        );
        return Check::warning("connections", message)
            .hint("raise LimitNOFILE or `ulimit -n`, or lower SIGNET_CONNECTIONS");
    }
    Check::ok("connections", format!("at most {possible}"))
}
