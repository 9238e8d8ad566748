//! Metrics of authentication: issued tokens, rejections, the hash queue, secrets and database connections.

use std::{fmt, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::{AuthService, IssuedToken, login::LoginError, refresh::RefreshError};
use crate::accounts::User;

/// Counts issued tokens and rejections.
#[derive(Debug, Default)]
pub struct AuthMetrics {
    issued: Family<[(&'static str, &'static str); 1], Counter>,
    refused: Family<[(&'static str, &'static str); 2], Counter>,
}

impl AuthMetrics {
    pub(super) fn record_login(&self, outcome: &Result<(User, IssuedToken), LoginError>) {
        let rejection = outcome.as_ref().err();
        self.count("obtain", rejection.map(LoginError::metric_label));
    }

    pub(super) fn record_refresh(&self, outcome: &Result<IssuedToken, RefreshError>) {
        let rejection = outcome.as_ref().err();
        self.count("refresh", rejection.map(RefreshError::metric_label));
    }

    fn count(&self, grant: &'static str, rejection: Option<&'static str>) {
        let grant = ("grant", grant);
        match rejection {
            None => self.issued.get_or_create(&[grant]).inc(),
            Some(reason) => self
                .refused
                .get_or_create(&[grant, ("reason", reason)])
                .inc(),
        };
    }
}

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
            "Hashes that wait for their turn",
            self.waiting.clone(),
        );
        registry.register(
            "hash_wait_seconds",
            "How long hashes waited for their turn",
            self.waited.clone(),
        );
        registry.register(
            "hash_rejections",
            "Hashes whose turn would not have come in time: 503",
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

impl AuthService {
    /// Registers the metrics of authentication.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tokens_issued",
            "Tokens issued, by what for: a login or a refresh",
            self.metrics.issued.clone(),
        );
        registry.register(
            "tokens_refused",
            "Requests for a token that got none, by what for and reason",
            self.metrics.refused.clone(),
        );
        self.passwords.register(registry);
        registry.register_collector(Box::new(CurrentValues(self.clone())));
    }
}

/// Metrics that are read at the time of a scrape.
#[derive(Debug)]
struct CurrentValues(AuthService);

impl Collector for CurrentValues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut verifications = encoder.encode_descriptor(
            "secret_verifications",
            "Tokens that each secret verified since it was read",
            None,
            MetricType::Counter,
        )?;
        for (number, verified) in self.0.tokens.verified().into_iter().enumerate() {
            let name = match number {
                0 => "current".to_owned(),
                number => format!("previous {number}"),
            };
            let labels = [("secret", name.as_str())];
            ConstCounter::new(verified).encode(verifications.encode_family(&labels)?)?;
        }
        let mut connections = encoder.encode_descriptor(
            "database_connections",
            "Connections to the database, by state, and how many there may be",
            None,
            MetricType::Gauge,
        )?;
        let pool = self.0.users.pool();
        for (state, count) in [
            ("used", pool.used),
            ("idle", pool.idle),
            ("limit", pool.limit),
        ] {
            let labels = [("state", state)];
            ConstGauge::new(i64::from(count)).encode(connections.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
