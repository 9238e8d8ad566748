//! The format of the log outside terminals: one JSON object per line.

use std::fmt;

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
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::Writer,
        layer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Writes each event as a line of JSON.
pub fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    layer()
        .with_writer(writer)
        .fmt_fields(JsonFields)
        .event_format(JsonEvent)
}

/// Formats an event, with its innermost span.
///
/// The JSON format of `tracing-subscriber` parses the span's fields again for each event. This format does not, and saves 2.5
/// microseconds of each request (1.2 instead of 3.9, measured with a release build).
struct JsonEvent;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for JsonEvent {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Events of the `log` crate have their target and level in fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        write!(line, "\",\"level\":\"{}\"", metadata.level())?;
        context.format_fields(line.by_ref(), event)?;
        write!(line, ",\"target\":\"{}\"", metadata.target())?;
        if let Some(span) = context.lookup_current() {
            write!(line, ",\"span\":{{\"name\":\"{}\"", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                line.write_str(fields)?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// Formats fields as members of a JSON object, with a comma before each member.
struct JsonFields;

impl<'a> FormatFields<'a> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        // One write of the whole text is half a microsecond faster than a write for each field.
        let mut members = JsonVisitor {
            text: Vec::with_capacity(128),
            result: Ok(()),
        };
        fields.record(&mut members);
        members.result.map_err(|_| fmt::Error)?;
        writer.write_str(str::from_utf8(&members.text).map_err(|_| fmt::Error)?)
    }

    fn add_fields(
        &self,
        current: &'a mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

struct JsonVisitor {
    text: Vec<u8>,
    result: serde_json::Result<()>,
}

impl JsonVisitor {
    fn write_member(&mut self, field: &Field, value: impl Serialize) {
        let name = field.name();
        // `normalized_metadata` already provides the fields `log.*` of the `log` crate.
        if self.result.is_ok() && !name.starts_with("log.") {
            self.text.extend_from_slice(b",\"");
            self.text.extend_from_slice(name.as_bytes());
            self.text.extend_from_slice(b"\":");
            self.result = serde_json::to_writer(&mut self.text, &value);
        }
    }
}

impl Visit for JsonVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write_member(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write_member(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write_member(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity: serde_json writes null.
        self.write_member(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write_member(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write_member(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{field::Empty, info, info_span, subscriber::with_default};
    use tracing_subscriber::layer::SubscriberExt;

    use super::json_layer;

    fn logged(log: impl FnOnce()) -> Vec<Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let subscriber = tracing_subscriber::registry().with(json_layer(Mutex::new(writer)));
        with_default(subscriber, log);
        let written = std::fs::read_to_string(file.path()).unwrap();
        written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn event_is_one_line_of_json_with_any_content() {
        let text = "\"quoted\"\n\u{1b}[31m \\ …";
        let lines = logged(|| {
            let span = info_span!("request", id = text, trace_id = Empty);
            span.record("trace_id", "4bf9");
            span.in_scope(|| info!(status = 200, good = true, less = -1, shown = ?text, "{text}"));
            info!("outside");
        });
        let [within, outside] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!(within["message"], text);
        assert_eq!(within["shown"], format!("{text:?}"));
        assert_eq!(
            [&within["status"], &within["good"], &within["less"]],
            [&json!(200), &json!(true), &json!(-1)]
        );
        assert_eq!(within["level"], "INFO");
        assert_eq!(within["target"], module_path!());
        assert_eq!(
            within["span"],
            json!({ "name": "request", "id": text, "trace_id": "4bf9" })
        );
        assert_eq!(outside["message"], "outside");
        assert_eq!(outside.get("span"), None);
    }
}
