//! Distributed traces: a request may be part of one (`traceparent`, W3C Trace Context).

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

/// Makes the span part of the trace that the request belongs to, and notes the trace for the log.
pub(super) fn join(span: &Span, request: &Request, method: &'static str, path: &str) {
    let told = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    let told = told.span().span_context().clone();
    // Without what others have written beside it.
    let given = SpanContext::new(
        told.trace_id(),
        told.span_id(),
        told.trace_flags(),
        true,
        TraceState::default(),
    );
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

/// Notes how the request was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}
