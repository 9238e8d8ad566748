//! Metrics of requests: their number and their duration, by operation.

use std::time::Duration;

use poem::http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Buckets from a refresh to a login in a long hash queue. The thresholds of alerts must be bounds, because quantiles are estimates
/// between bounds.
const DURATION_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

type Operation = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: u16,
}

/// Counts requests.
#[derive(Clone, Debug)]
pub(super) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<Operation, Histogram, fn() -> Histogram>,
}

impl HttpMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(duration_histogram),
        };
        registry.register(
            "http_requests",
            "Completed requests, by operation and status",
            metrics.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Duration of requests, from the request headers to the response headers",
            metrics.durations.clone(),
        );
        metrics
    }

    /// Starts the count of internal errors of an operation at 0. `increase` of Prometheus needs this value to count the first error.
    pub(super) fn start(&self, operation: &'static str) {
        let status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        self.requests
            .get_or_create(&RequestLabels { operation, status })
            .inc_by(0);
    }

    pub(super) fn record(&self, operation: &'static str, status: StatusCode, elapsed: Duration) {
        let status = status.as_u16();
        self.requests
            .get_or_create(&RequestLabels { operation, status })
            .inc();
        self.durations
            .get_or_create(&[("operation", operation)])
            .observe(elapsed.as_secs_f64());
    }
}
