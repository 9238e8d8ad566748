//! What is measured of obtain and refresh, for operators: tokens issued, and refused by reason; hashing and
//! its queue; what each secret verifies. To count costs next to nothing, and tells nothing of anybody.

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

/// Counts tokens.
#[derive(Debug, Default)]
pub struct AuthMetrics {
    issued: Family<[(&'static str, &'static str); 1], Counter>,
    refused: Family<[(&'static str, &'static str); 2], Counter>,
}

impl AuthMetrics {
    pub(super) fn obtain(&self, outcome: &Result<(User, IssuedToken), LoginError>) {
        self.count("obtain", outcome.as_ref().err().map(LoginError::reason));
    }

    pub(super) fn refresh(&self, outcome: &Result<IssuedToken, RefreshError>) {
        let refusal = outcome.as_ref().err();
        self.count("refresh", refusal.map(RefreshError::reason));
    }

    fn count(&self, grant: &'static str, refused_for: Option<&'static str>) {
        let grant = ("grant", grant);
        match refused_for {
            None => self.issued.get_or_create(&[grant]).inc(),
            Some(reason) => self
                .refused
                .get_or_create(&[grant, ("reason", reason)])
                .inc(),
        };
    }
}

/// Counts hashes.
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
            // From a millisecond to four seconds.
            waited: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            rejected: Counter::default(),
        }
    }
}

impl HashQueueMetrics {
    /// Somebody waits for a hash, until what this returns is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.inc();
        Waiting {
            meter: self,
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

/// A wait.
pub(super) struct Waiting<'a> {
    meter: &'a HashQueueMetrics,
    since: Instant,
}

impl Waiting<'_> {
    /// Its turn has come.
    pub(super) fn admitted(self) {
        let waited = self.since.elapsed();
        self.meter.waited.observe(waited.as_secs_f64());
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.waiting.dec();
    }
}

impl AuthService {
    /// Adds everything that is measured here to what operators read.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tokens_issued",
            "Tokens issued, by what for: a login or a refresh",
            self.meter.issued.clone(),
        );
        registry.register(
            "tokens_refused",
            "Requests for a token that got none, by what for and reason",
            self.meter.refused.clone(),
        );
        self.passwords.register(registry);
        registry.register_collector(Box::new(AtTheMoment(self.clone())));
    }
}

/// What is looked up when it is asked for.
struct AtTheMoment(AuthService);

impl Collector for AtTheMoment {
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

impl fmt::Debug for AtTheMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtTheMoment")
    }
}
