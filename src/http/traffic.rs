//! What is measured of every request: how many, by operation and status, and how long they took.

use std::time::Duration;

use poem::http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// From half a millisecond to four seconds: a refresh, and a login that waits for its hash.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

type Operation = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    operation: &'static str,
    status: u16,
}

/// Counts requests.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    answered: Family<Answered, Counter>,
    took: Family<Operation, Histogram, fn() -> Histogram>,
}

impl Traffic {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let traffic = Self {
            answered: Family::default(),
            took: Family::new_with_constructor(latency),
        };
        registry.register(
            "http_requests",
            "Requests answered, by operation and status",
            traffic.answered.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "How long requests took, from their head to the head of their answer",
            traffic.took.clone(),
        );
        traffic
    }

    pub(super) fn count(&self, operation: &'static str, status: StatusCode, took: Duration) {
        let status = status.as_u16();
        self.answered
            .get_or_create(&Answered { operation, status })
            .inc();
        self.took
            .get_or_create(&[("operation", operation)])
            .observe(took.as_secs_f64());
    }
}
