//! Distributed traces: a request may be part of one (`traceparent`, W3C Trace Context).

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use poem::{Request, http::StatusCode};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes the span part of the trace that the request belongs to, and notes the trace for the log.
pub(super) fn join(span: &Span, request: &Request, method: &'static str, path: &str) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    let given = parent.span().span_context().clone();
    // Without an exporter there is no trace of ours, but that of the request is told all the same.
    let _ = span.set_parent(parent);
    let own = span.context().span().span_context().clone();
    if let Some(trace) = [own, given].into_iter().find(SpanContext::is_valid) {
        span.record("trace_id", tracing::field::display(trace.trace_id()));
    }
    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", path.to_owned());
}

/// Notes how the request was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}
