//! Metrics of the hash queue.

use std::time::Instant;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The thresholds of alerts must be bounds, because quantiles are estimates between bounds.
const WAIT_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Measures the queue of hashes.
#[derive(Debug)]
pub(super) struct HashQueueMetrics {
    waiting: Gauge,
    waited: Histogram,
    rejected: Counter,
}

impl Default for HashQueueMetrics {
    fn default() -> Self {
        Self {
            waiting: Gauge::default(),
            waited: Histogram::new(WAIT_BUCKETS),
            rejected: Counter::default(),
        }
    }
}

impl HashQueueMetrics {
    /// Counts a waiting hash until the returned timer is dropped.
    pub(super) fn start_waiting(&self) -> QueueTimer<'_> {
        self.waiting.inc();
        QueueTimer {
            metrics: self,
            since: Instant::now(),
        }
    }

    pub(super) fn reject(&self) {
        self.rejected.inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "hash_queue_depth",
            "Hashes in the queue",
            self.waiting.clone(),
        );
        registry.register(
            "hash_wait_seconds",
            "Time that hashes waited in the queue",
            self.waited.clone(),
        );
        registry.register(
            "hash_rejections",
            "Hashes rejected because the queue was too long (status 503)",
            self.rejected.clone(),
        );
    }
}

/// Measures the wait of one hash.
pub(super) struct QueueTimer<'a> {
    metrics: &'a HashQueueMetrics,
    since: Instant,
}

impl QueueTimer<'_> {
    /// Records the wait of a hash that starts.
    pub(super) fn record(self) {
        let waited = self.since.elapsed();
        self.metrics.waited.observe(waited.as_secs_f64());
    }
}

impl Drop for QueueTimer<'_> {
    fn drop(&mut self) {
        self.metrics.waiting.dec();
    }
}
