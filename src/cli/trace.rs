//! Traces, sent by OTLP over HTTP where the usual `OTEL_*` variables ask for them
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

/// For one batch of spans, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends spans as they end, a batch at a time.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Where nothing asks for traces, there are none. It wants a runtime to send them from.
    pub(super) fn wanted(environment: &Environment) -> Result<Option<Self>, CliError> {
        let given = |name: &str| {
            environment
                .get(name)?
                .as_deref()
                .filter(|it| !it.is_empty())
        };
        let is = |name, value: &str| given(name).is_some_and(|it| it.eq_ignore_ascii_case(value));
        let general = given("OTEL_EXPORTER_OTLP_ENDPOINT");
        let endpoint = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .map(str::to_owned)
            .or_else(|| Some(format!("{}/v1/traces", general?.trim_end_matches('/'))));
        let off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        let on = endpoint.is_some() || is("OTEL_TRACES_EXPORTER", "otlp");
        if off || !on {
            return Ok(None);
        }
        let of_traces = |name: &str| {
            given(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| given(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        if let Some(other) = of_traces("PROTOCOL").filter(|it| *it != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL cannot be {other:?}: write http/protobuf, and give the port for that"
            )
            .into());
        }
        let timeout = of_traces("TIMEOUT").and_then(|milliseconds| milliseconds.parse().ok());
        let timeout = timeout.map_or(PATIENCE, Duration::from_millis);
        let runtime = Handle::current();
        let sender = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.clone().unwrap_or_default());
        // Only whom it takes to trust someone needs to know whom this machine trusts.
        let sender = if endpoint.is_some_and(|url| url.starts_with("https:")) {
            let client = HyperClient::new(https_connector()?, timeout, None);
            sender.with_http_client(OnRuntime { client, runtime })
        } else {
            let client = HyperClient::with_default_connector(timeout, None);
            sender.with_http_client(OnRuntime { client, runtime })
        };
        // What the library says of a bad endpoint would tell its password.
        let exporter = sender.build().map_err(|_| {
            "the OTEL_EXPORTER_OTLP_* variables cannot be as they are: is the endpoint like http://host:4318?"
        })?;
        let defaults = [
            KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let named =
            given("OTEL_SERVICE_NAME").map(|name| KeyValue::new("service.name", name.to_owned()));
        let resource = Resource::builder_empty()
            .with_attributes(defaults)
            .with_detector(Box::new(EnvResourceDetector::new()))
            .with_attributes(named)
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

/// Sends from the runtime of the service: the exporter works on a thread that has none.
#[derive(Debug)]
struct OnRuntime<C: Connect + Clone + Send + Sync + 'static> {
    client: HyperClient<C>,
    runtime: Handle,
}

#[async_trait]
impl<C: Connect + Clone + Debug + Send + Sync + 'static> HttpClient for OnRuntime<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sending.await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_usual_variables_ask_for_traces_or_do_not() {
        let of = |variables: &[(&str, &str)]| {
            let pairs = variables.iter();
            let environment = pairs
                .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                .collect();
            let wanted = Traces::wanted(&environment).map_err(|failure| failure.message);
            wanted.map(|traces| traces.is_some())
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://127.0.0.1:4318/v1/traces",
        );
        for (variables, wanted) in [
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
            assert_eq!(of(variables), Ok(wanted), "{variables:?}");
        }
        let grpc = of(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(grpc.unwrap_err().contains("write http/protobuf"));
        let bad = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter 2@host")]);
        let told = bad.unwrap_err();
        assert!(
            told.contains("like http://host:4318") && !told.contains("hunter"),
            "{told}"
        );
    }
}
