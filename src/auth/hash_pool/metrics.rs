//! Metrics of the hash queue.

use std::time::Instant;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

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
            // 1 ms to 4 s.
            waited: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
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
