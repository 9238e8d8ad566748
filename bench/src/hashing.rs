//! Bare Argon2: the upper limit for logins.

use std::{
    error::Error,
    sync::atomic::{AtomicU32, Ordering},
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
    let hashes = AtomicU32::new(0);
    let started = Instant::now();
    let work = || {
        let mut memory = vec![Block::default(); params.block_count()];
        while started.elapsed() < Duration::from_secs(seconds) {
            let (password, salt, mut hash) = (b"a password", b"a 16-byte salt..", [0; 32]);
            let result =
                argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut memory);
            hashes.fetch_add(u32::from(result.is_ok()), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    f64::from(hashes.into_inner()) / started.elapsed().as_secs_f64()
}
