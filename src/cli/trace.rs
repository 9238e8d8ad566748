//! Traces, sent by OTLP over HTTP where the usual `OTEL_*` variables ask for them
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::time::Duration;

use async_trait::async_trait;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing::warn;

use super::{Failure, https};
use crate::config::Environment;

/// For one batch of spans, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends spans as they end, a batch at a time.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Where nothing asks for traces, there are none. It wants a runtime to send them from.
    pub(super) fn wanted(environment: &Environment) -> Result<Option<Self>, Failure> {
        let given = |name: &str| {
            environment
                .get(name)?
                .as_deref()
                .filter(|it| !it.is_empty())
        };
        let off = given("OTEL_SDK_DISABLED") == Some("true")
            || given("OTEL_TRACES_EXPORTER") == Some("none");
        let endpoints = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ];
        let on = endpoints.iter().any(|name| given(name).is_some())
            || given("OTEL_TRACES_EXPORTER") == Some("otlp");
        if off || !on {
            return Ok(None);
        }
        let client = OnRuntime {
            client: HyperClient::new(https::connector()?, PATIENCE, None),
            runtime: Handle::current(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(client)
            .build()
            .map_err(|error| {
                format!("the OTEL_EXPORTER_OTLP_* variables cannot be as they are: {error}")
            })?;
        let name = given("OTEL_SERVICE_NAME").unwrap_or(env!("CARGO_PKG_NAME"));
        let resource = Resource::builder_empty()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .with_attribute(KeyValue::new("service.name", name.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Some(Self(provider)))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends what has not been sent yet.
    pub(super) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            warn!("some traces may not have been sent");
        }
    }
}

/// Sends from the runtime: the exporter has a thread of its own, and none.
#[derive(Debug)]
struct OnRuntime {
    client: HyperClient<HttpsConnector<HttpConnector>>,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sending.await?
    }
}
