//! The log, on standard error: text on a terminal, JSON otherwise; and the traces beside it.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    Layer, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::trace::Traces;
use crate::config::LogFilter;

/// Starts logging what `filter` lets through; a panic is logged like everything else.
pub(super) fn init(filter: &LogFilter, traces: Option<&Traces>) {
    let log = fmt::layer().with_writer(io::stderr);
    let log = if io::stderr().is_terminal() {
        log.boxed()
    } else {
        log.json().flatten_event(true).with_span_list(false).boxed()
    };
    // What is traced does not depend on what is logged.
    let traces = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            // Spans alone: what is logged within them may name an account.
            .with_filter(filter_fn(|it| {
                it.is_span() && it.target().starts_with(env!("CARGO_PKG_NAME"))
            }))
    });
    tracing_subscriber::registry()
        .with(log.with_filter(filter.filter()))
        .with(traces)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        // Not its message: that may hold what was being worked on.
        tracing::error!(location, "a panic: this is a bug");
    }));
}
