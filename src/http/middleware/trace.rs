//! Distributed traces. A trusted proxy may set the trace of a request (`traceparent`, W3C Trace Context).

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use poem::{Request, http::StatusCode};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Sets the parent of a span to the trace of a trusted proxy, or starts a trace. Records the trace ID for the log.
pub(in crate::http) fn set_remote_parent(
    span: &Span,
    request: &Request,
    is_trusted: bool,
    method: &'static str,
    path: &str,
) {
    // An untrusted client could add spans to a trace, or suppress the export of its spans.
    let given = if is_trusted {
        remote_context(request)
    } else {
        SpanContext::NONE
    };
    let parent = if given.is_valid() {
        Context::new().with_remote_span_context(given.clone())
    } else {
        Context::new()
    };
    // Without an exporter, the log still contains the trace ID of the request.
    let trace = if span.set_parent(parent).is_ok() {
        span.record("otel.kind", "server");
        span.record("otel.name", format!("{method} {path}"));
        span.set_attribute("http.request.method", method);
        span.set_attribute("http.route", path.to_owned());
        span.context().span().span_context().clone()
    } else {
        given
    };
    if trace.is_valid() {
        span.record("trace_id", tracing::field::display(trace.trace_id()));
    }
}

/// Returns the trace context of the headers, without its `tracestate`.
fn remote_context(request: &Request) -> SpanContext {
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    let named = context.span().span_context().clone();
    SpanContext::new(
        named.trace_id(),
        named.span_id(),
        named.trace_flags(),
        true,
        TraceState::default(),
    )
}

/// Records the status of the response.
pub(in crate::http) fn record_status(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}
