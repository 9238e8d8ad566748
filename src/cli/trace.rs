//! Exports traces by OTLP over HTTP, if the standard `OTEL_*` variables enable traces
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use hyper_util::client::legacy::connect::Connect;
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

use super::{error::CliError, http_client::https_connector};
use crate::config::Environment;

/// The timeout to export a batch of spans, unless `OTEL_EXPORTER_OTLP_TIMEOUT` is set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Exports spans in batches.
pub(super) struct OtlpTracing(SdkTracerProvider);

impl OtlpTracing {
    /// Starts the exporter, or returns `None` if traces are disabled. Call this in a tokio runtime.
    ///
    /// # Errors
    /// The protocol is not supported, or the endpoint is invalid.
    pub(super) fn from_environment(environment: &Environment) -> Result<Option<Self>, CliError> {
        let variables = Variables(environment);
        if variables.are_traces_disabled() {
            return Ok(None);
        }
        let protocol = variables.exporter_option("PROTOCOL");
        if let Some(other) = protocol.filter(|protocol| *protocol != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL cannot be {other:?}: write http/protobuf, and give the port for that"
            )
            .into());
        }
        let mut resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .with_detector(Box::new(EnvResourceDetector::new()));
        if let Some(name) = variables.get("OTEL_SERVICE_NAME") {
            resource = resource.with_attribute(KeyValue::new("service.name", name.to_owned()));
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter(&variables)?)
            .with_resource(resource.build())
            .build();
        Ok(Some(Self(provider)))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Exports the remaining spans.
    pub(super) async fn shut_down(self) {
        let result = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if !matches!(result, Ok(Ok(()))) {
            warn!("some traces may not have been sent");
        }
    }
}

fn exporter(variables: &Variables<'_>) -> Result<SpanExporter, CliError> {
    let timeout = variables
        .exporter_option("TIMEOUT")
        .and_then(|milliseconds| milliseconds.parse().ok())
        .map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    let endpoint = variables.endpoint().unwrap_or_default();
    let needs_tls = endpoint.starts_with("https:");
    let builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint);
    let runtime = Handle::current();
    let builder = if needs_tls {
        let client = HyperClient::new(https_connector()?, timeout, None);
        builder.with_http_client(RuntimeHttpClient { client, runtime })
    } else {
        let client = HyperClient::with_default_connector(timeout, None);
        builder.with_http_client(RuntimeHttpClient { client, runtime })
    };
    // The error of the library would contain the endpoint, which may contain a password.
    builder.build().map_err(|_| {
        "the OTEL_EXPORTER_OTLP_* variables are invalid: the endpoint must be like http://host:4318".into()
    })
}

/// The environment variables of OpenTelemetry. Empty variables count as unset.
struct Variables<'a>(&'a Environment);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.as_deref();
        value.filter(|value| !value.is_empty())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_some_and(|actual| actual.eq_ignore_ascii_case(value))
    }

    /// Returns an option of the exporter. The variable for traces has priority.
    fn exporter_option(&self, name: &str) -> Option<&str> {
        self.get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    fn endpoint(&self) -> Option<String> {
        if let Some(endpoint) = self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return Some(endpoint.to_owned());
        }
        let base = self.get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        Some(format!("{}/v1/traces", base.trim_end_matches('/')))
    }

    fn are_traces_disabled(&self) -> bool {
        let is_disabled =
            self.is("OTEL_SDK_DISABLED", "true") || self.is("OTEL_TRACES_EXPORTER", "none");
        is_disabled || !(self.endpoint().is_some() || self.is("OTEL_TRACES_EXPORTER", "otlp"))
    }
}

/// Sends requests on the runtime of the service: the thread of the exporter has no runtime.
#[derive(Debug)]
struct RuntimeHttpClient<C: Connect + Clone + Send + Sync + 'static> {
    client: HyperClient<C>,
    runtime: Handle,
}

#[async_trait]
impl<C: Connect + Clone + Debug + Send + Sync + 'static> HttpClient for RuntimeHttpClient<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let response = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        response.await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn standard_variables_enable_and_disable_traces() {
        let is_enabled = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            let environment = variables
                .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                .collect();
            let tracing = OtlpTracing::from_environment(&environment);
            tracing
                .map(|tracing| tracing.is_some())
                .map_err(|error| error.message)
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://127.0.0.1:4318/v1/traces",
        );
        for (variables, expected) in [
            (&[][..], false),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false),
            (&[endpoint], true),
            (&[traces], true),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "false")], true),
            (
                &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
                true,
            ),
        ] {
            assert_eq!(is_enabled(variables), Ok(expected), "{variables:?}");
        }
        let grpc = is_enabled(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(grpc.unwrap_err().contains("write http/protobuf"));
        let invalid = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter 2@host");
        let error = is_enabled(&[invalid]).unwrap_err();
        assert!(
            error.contains("like http://host:4318") && !error.contains("hunter"),
            "{error}"
        );
    }
}
