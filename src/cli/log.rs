//! The log on standard error: text on a terminal, JSON otherwise. Traces use the same subscriber.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

mod json;
mod text;
mod writer;

pub use json::json_layer;
pub(super) use writer::{FlushOnDrop, flush, start_writer_thread};

use super::trace::OtlpTracing;
use crate::config::LogFilter;
use text::text_layer;
use writer::LineWriter;

/// Starts logging the events that match the filter. From now on, panics are logged as well.
pub(super) fn init(filter: &LogFilter, traces: Option<&OtlpTracing>) {
    let log = if io::stderr().is_terminal() {
        let has_colors = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        text_layer(|| LineWriter, has_colors).boxed()
    } else {
        json_layer(|| LineWriter).boxed()
    };
    match traces {
        // One filter for the subscriber saves a microsecond of each refresh, compared with one filter for each layer.
        None => tracing_subscriber::registry()
            .with(log)
            .with(filter.filter())
            .init(),
        // The log filter must not filter traces.
        Some(traces) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(traces.tracer())
                .with_location(false)
                .with_threads(false)
                // Events may name an account, so only spans are exported.
                .with_filter(filter_fn(|it| {
                    it.is_span() && it.target().starts_with(env!("CARGO_PKG_NAME"))
                }));
            tracing_subscriber::registry()
                .with(log.with_filter(filter.filter()))
                .with(traces)
                .init();
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        // The panic message may contain secrets, so it is not logged.
        tracing::error!(location, "panic; this is a bug");
    }));
}
