//! Errors of hashing.

use std::io;

use crate::auth::hash_pool::Overloaded;

/// A password could be neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Argon2 rejects the parameters.
    #[error("Argon2 rejects these parameters: {0}")]
    Argon2Params(argon2::Error),
    /// A hash would exceed the limits of stored hashes.
    #[error("one hash would take more than 1 GiB of memory or five seconds of a core")]
    CostTooHigh,
    /// The limit of memory is smaller than one hash.
    #[error(
        "one hash takes {memory_kib} KiB of memory, and SIGNET_HASHING_MEMORY_KIB has no room for it"
    )]
    Memory {
        /// Memory of one hash.
        memory_kib: u32,
    },
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Failed(String),
    /// The system starts no threads.
    #[error("cannot start the hashing threads: {0}")]
    Threads(io::Error),
    /// The queue is too long.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The client disconnected before its hash started.
    #[error("the client disconnected")]
    ClientDisconnected,
}

impl HashError {
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self::Failed(cause.to_string())
    }
}
