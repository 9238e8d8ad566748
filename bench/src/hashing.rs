//! Bare Argon2: the upper limit for logins.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Returns the parameters for one lane.
pub(crate) fn params(kib: u32, iterations: u32) -> Result<Params, Box<dyn Error>> {
    Ok(Params::new(kib, iterations, 1, None).map_err(|error| error.to_string())?)
}

/// Returns hashes per second. Each thread reuses its memory.
pub(crate) fn rate(params: &Params, threads: usize, seconds: u64) -> f64 {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let count_hashes = || {
        let mut memory = vec![Block::default(); params.block_count()];
        let mut hashes = 0;
        while Instant::now() < end {
            let result = argon2.hash_password_into_with_memory(
                b"a password",
                b"a 16-byte salt..",
                &mut [0; 32],
                &mut memory,
            );
            hashes += u32::from(result.is_ok());
        }
        hashes
    };
    let hashes: u32 = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(count_hashes)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(0))
            .sum()
    });
    f64::from(hashes) / started.elapsed().as_secs_f64()
}
