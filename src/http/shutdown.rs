//! The shutdown of the service.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether the service is shutting down.
#[derive(Clone, Debug, Default)]
pub struct ShutdownFlag(Arc<AtomicBool>);

impl ShutdownFlag {
    /// Makes `/readyz` fail, and closes connections after their next response.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
