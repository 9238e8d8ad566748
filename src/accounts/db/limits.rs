//! Limits of the database connections.

use std::{num::NonZeroU32, time::Duration};

/// Limits of the database connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest number of connections.
    pub connections: NonZeroU32,
    /// The time limit of a query, including the time that other writers take.
    pub wait: Duration,
    /// Whether PostgreSQL also cancels a statement after this time. Commands have statements that take longer.
    pub enforce_statement_timeout: bool,
}
