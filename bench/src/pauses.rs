//! How the machine itself stops whoever is at work: what no service on it is faster than.

use std::time::{Duration, Instant};

/// What is shorter is no pause: a tick of the kernel's clock takes microseconds.
const LEAST: Duration = Duration::from_millis(1);

/// Looks at the clock and does nothing else for so many seconds, and tells the milliseconds of each pause.
pub(crate) fn pauses(seconds: u64) -> Vec<f64> {
    let mut pauses = Vec::new();
    let mut before = Instant::now();
    let end = before + Duration::from_secs(seconds);
    while before < end {
        let now = Instant::now();
        let gap = now - before;
        if gap >= LEAST {
            pauses.push(gap.as_secs_f64() * 1000.0);
        }
        before = now;
    }
    pauses
}
