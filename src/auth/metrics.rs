//! Metrics of authentication: issued tokens, rejections, the hash queue, secrets and database connections.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::Registry,
};

use super::{
    AuthService, IssuedToken,
    error::{LoginError, TokenRejection},
    verify::ValidToken,
};
use crate::accounts::Account;

/// Counts issued tokens and rejections.
#[derive(Debug, Default)]
pub struct AuthMetrics {
    issued: Family<[(&'static str, &'static str); 1], Counter>,
    refused: Family<[(&'static str, &'static str); 2], Counter>,
    verified: Family<[(&'static str, &'static str); 2], Counter>,
}

impl AuthMetrics {
    pub(super) fn record_login(&self, outcome: &Result<(Account, IssuedToken), LoginError>) {
        let rejection = outcome.as_ref().err();
        self.count("obtain", rejection.map(LoginError::metric_label));
    }

    pub(super) fn record_refresh(&self, outcome: &Result<IssuedToken, TokenRejection>) {
        let rejection = outcome.as_ref().err();
        self.count("refresh", rejection.map(TokenRejection::metric_label));
    }

    /// Counts a verification by the operation `verify`, or for a gateway.
    pub(super) fn record_verification(
        &self,
        by: &'static str,
        outcome: &Result<ValidToken, TokenRejection>,
    ) {
        let rejection = outcome.as_ref().err();
        let result = rejection.map_or("valid", TokenRejection::metric_label);
        let labels = [("by", by), ("result", result)];
        self.verified.get_or_create(&labels).inc();
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

impl AuthService {
    /// Registers the metrics of authentication.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tokens_issued",
            "Issued tokens, by grant",
            self.metrics.issued.clone(),
        );
        registry.register(
            "tokens_refused",
            "Rejected requests for a token, by grant and reason",
            self.metrics.refused.clone(),
        );
        registry.register(
            "tokens_verified",
            "Verified tokens, by the operation `verify` or for a gateway, and by result",
            self.metrics.verified.clone(),
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
            "Tokens verified by each secret since the last reload, and by each key since the start",
            None,
            MetricType::Counter,
        )?;
        for (name, verified) in self.0.tokens.verified() {
            let labels = [("secret", name.as_str())];
            ConstCounter::new(verified).encode(verifications.encode_family(&labels)?)?;
        }
        let mut connections = encoder.encode_descriptor(
            "database_connections",
            "Connections to the database: used, idle, and their limit",
            None,
            MetricType::Gauge,
        )?;
        let pool = self.0.accounts.pool();
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
