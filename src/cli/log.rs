//! The log, on standard error: text on a terminal, JSON otherwise; and the traces beside it.

use std::{
    fmt as form,
    io::{self, IsTerminal},
};

use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer,
    field::RecordFields,
    filter::filter_fn,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

mod lines;
mod outlet;

pub(super) use lines::{before_rest, lost, write_out};
pub(super) use outlet::hold_up_nobody;

use super::trace::Traces;
use crate::config::LogFilter;
use lines::Lines;

/// Starts logging what `filter` lets through; a panic is logged like everything else.
pub(super) fn init(filter: &LogFilter, traces: Option<&Traces>) {
    let log = if io::stderr().is_terminal() {
        fmt::layer().with_writer(Lines).boxed()
    } else {
        json(Lines).boxed()
    };
    match traces {
        // One filter for all costs a refresh a microsecond less than one for each of two.
        None => tracing_subscriber::registry()
            .with(log)
            .with(filter.filter())
            .init(),
        // What is traced does not depend on what is logged.
        Some(traces) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(traces.tracer())
                .with_location(false)
                .with_threads(false)
                // Spans alone: what is logged within them may name an account.
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
        // Not its message: that may hold what was being worked on.
        tracing::error!(location, "a panic: this is a bug");
    }));
}

/// Writes events as JSON, each as a line.
pub fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer()
        .with_writer(writer)
        .fmt_fields(Members)
        .event_format(Json)
}

/// An event as one line of JSON, with the innermost span it is in.
///
/// The library's own reads the fields of the span from their text for each event, and writes them again: with them as they
/// stand, a refresh takes two microseconds less.
struct Json;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, Members> for Json {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> form::Result {
        // What comes from the `log` crate hides where it comes from.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        write!(line, "\",\"level\":\"{}\"", metadata.level())?;
        context.format_fields(line.by_ref(), event)?;
        write!(line, ",\"target\":\"{}\"", metadata.target())?;
        if let Some(span) = context.lookup_current() {
            write!(line, ",\"span\":{{\"name\":\"{}\"", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<Members>>() {
                line.write_str(fields)?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// Fields as the members of an object, each after a comma: more may follow.
struct Members;

impl<'a> FormatFields<'a> for Members {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> form::Result {
        // Written in one piece: the library's text would grow with each, for half a microsecond of a refresh.
        let mut members = Writing {
            text: Vec::with_capacity(128),
            result: Ok(()),
        };
        fields.record(&mut members);
        members.result.map_err(|_| form::Error)?;
        writer.write_str(str::from_utf8(&members.text).map_err(|_| form::Error)?)
    }

    fn add_fields(
        &self,
        known: &'a mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> form::Result {
        self.format_fields(known.as_writer(), fields)
    }
}

struct Writing {
    text: Vec<u8>,
    result: serde_json::Result<()>,
}

impl Writing {
    fn member(&mut self, field: &Field, value: impl Serialize) {
        let name = field.name();
        // What the bridge from the `log` crate adds stands in the line already.
        if self.result.is_ok() && !name.starts_with("log.") {
            self.text.extend_from_slice(b",\"");
            self.text.extend_from_slice(name.as_bytes());
            self.text.extend_from_slice(b"\":");
            self.result = serde_json::to_writer(&mut self.text, &value);
        }
    }
}

impl Visit for Writing {
    fn record_debug(&mut self, field: &Field, value: &dyn form::Debug) {
        self.member(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // One that JSON does not have is null.
        self.member(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{field::Empty, info, info_span, subscriber::with_default};
    use tracing_subscriber::layer::SubscriberExt;

    use super::json;

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let subscriber = tracing_subscriber::registry().with(json(Mutex::new(writer)));
        with_default(subscriber, log);
        let text = std::fs::read_to_string(file.path()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn an_event_is_a_line_of_json_whatever_it_holds() {
        let said = "\"quoted\"\n\u{1b}[31m \\ …";
        let lines = lines(|| {
            let span = info_span!("request", id = said, trace_id = Empty);
            span.record("trace_id", "4bf9");
            span.in_scope(|| info!(status = 200, good = true, less = -1, shown = ?said, "{said}"));
            info!("outside");
        });
        let [within, outside] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!(within["message"], said);
        assert_eq!(within["shown"], format!("{said:?}"));
        assert_eq!(
            [&within["status"], &within["good"], &within["less"]],
            [&json!(200), &json!(true), &json!(-1)]
        );
        assert_eq!(within["level"], "INFO");
        assert_eq!(within["target"], module_path!());
        assert_eq!(
            within["span"],
            json!({ "name": "request", "id": said, "trace_id": "4bf9" })
        );
        assert_eq!(outside["message"], "outside");
        assert_eq!(outside.get("span"), None);
    }
}
