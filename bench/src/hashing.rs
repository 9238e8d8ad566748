//! Argon2 alone, at the service's cost: what logins can be at most.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Of one lane.
pub(crate) fn cost(kib: u32, passes: u32) -> Result<Params, Box<dyn Error>> {
    Ok(Params::new(kib, passes, 1, None).map_err(|error| error.to_string())?)
}

/// How many hashes a second so many threads make, in memory that each keeps.
pub(crate) fn rate(cost: &Params, threads: usize, seconds: u64) -> f64 {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.clone());
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let hashes: u32 = thread::scope(|scope| {
        let work = || {
            let mut memory = vec![Block::default(); cost.block_count()];
            let mut hashes = 0;
            while Instant::now() < end {
                let done = argon2.hash_password_into_with_memory(
                    b"a password",
                    b"a salt of 16 byt",
                    &mut [0; 32],
                    &mut memory,
                );
                hashes += u32::from(done.is_ok());
            }
            hashes
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(0))
            .sum()
    });
    f64::from(hashes) / started.elapsed().as_secs_f64()
}
