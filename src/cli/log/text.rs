//! The format of the log on a terminal: one line of text for each event.

use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    field::MakeExt,
    fmt::{MakeWriter, format::debug_fn, layer},
    registry::LookupSpan,
};

use crate::text::printable;

/// Writes each event as a line of text. Fields may contain text of clients, so their control characters are replaced.
pub(super) fn text_layer<S, W>(writer: W, has_colors: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let fields = debug_fn(|writer, field, value| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{value}"),
            // The layer already shows the fields `log.*` of the `log` crate.
            name if name.starts_with("log.") => Ok(()),
            name => write!(writer, "{name}={value}"),
        }
    });
    layer()
        .with_ansi(has_colors)
        .with_writer(writer)
        .fmt_fields(fields.delimited(" "))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{field::Empty, info, info_span, subscriber::with_default};
    use tracing_subscriber::layer::SubscriberExt;

    use super::text_layer;

    #[test]
    fn fields_have_no_control_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let layer = text_layer(Mutex::new(writer), false);
        let text = "a\u{1b}[2J\nb";
        with_default(tracing_subscriber::registry().with(layer), || {
            let span = info_span!("request", method = %text, trace_id = Empty);
            span.record("trace_id", "4bf9");
            span.in_scope(|| info!(path = %text, debug = text, "read {text}"));
        });
        let written = std::fs::read_to_string(file.path()).unwrap();
        let (_, line) = written.split_once("INFO ").unwrap();
        assert_eq!(
            line,
            format!(
                "request{{method=a\u{fffd}[2J\u{fffd}b trace_id=\"4bf9\"}}: {}: read a\u{fffd}[2J\u{fffd}b path=a\u{fffd}[2J\u{fffd}b \
                 debug=\"a\\u{{1b}}[2J\\nb\"\n",
                module_path!()
            )
        );
    }
}
