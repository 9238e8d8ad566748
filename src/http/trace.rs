//! Distributed traces: a trusted proxy may name the trace of a request (`traceparent`, W3C Trace Context).

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

/// Starts a trace, or joins the trace that a trusted sender names, and records the trace ID for the log.
pub(super) fn join(
    span: &Span,
    request: &Request,
    is_trusted: bool,
    method: &'static str,
    path: &str,
) {
    // Any other sender could add spans to a trace, or set its flag that suppresses the export.
    let given = if is_trusted {
        named_trace(request)
    } else {
        SpanContext::NONE
    };
    let parent = if given.is_valid() {
        Context::new().with_remote_span_context(given.clone())
    } else {
        Context::new()
    };
    // Without an exporter there is no trace of ours, but that of the request is told all the same.
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

/// Returns the trace in the headers, without its `tracestate`.
fn named_trace(request: &Request) -> SpanContext {
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

/// Notes how the request was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}
