//! A line of the log as one JSON object. Fields of the event and of the spans around it stand side by
//! side, so that `jq 'select(.shard == 4711)'` finds a line wherever the shard was named.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// What every line has. A field of the same name gets an underscore behind it.
const TAKEN: [&str; 5] = ["timestamp", "level", "target", "message", "span"];

/// Formats events; spans' fields must have been formatted as JSON.
pub(super) struct Lines;

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    target: &'a str,
    message: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<&'static str>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        let mut span = None;
        // The outermost first: what is further in, and the event itself, says it more exactly.
        for around in context.event_scope().into_iter().flat_map(Scope::from_root) {
            span = Some(around.name());
            if let Some(formatted) = around.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(of_span)) = serde_json::from_str(formatted)
            {
                of_span.into_iter().for_each(|(name, value)| fields.put(&name, value));
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.message.take();
        fields.map.append(&mut own.map);
        let metadata = event.metadata();
        let line = Line {
            timestamp: &timestamp,
            level: metadata.level().as_str(),
            target: metadata.target(),
            message,
            span,
            fields: fields.map,
        };
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: Option<Value>,
    map: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        // Raw identifiers are written without their mark.
        let name = name.trim_start_matches("r#");
        let name = if TAKEN.contains(&name) { format!("{name}_") } else { name.to_owned() };
        self.map.insert(name, value);
    }

    fn take(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = Some(value);
        } else {
            self.put(field.name(), value);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_stand_side_by_side_and_the_innermost_holds() {
        let page = Page::default();
        let written = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || written.clone())
            .fmt_fields(JsonFields::new())
            .event_format(Lines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let node = tracing::info_span!("node", node = "a", shard = 1, level = "mine");
            let _node = node.entered();
            let _turn = tracing::info_span!("turn", shard = 2).entered();
            tracing::warn!(target: "bank", epoch = 7_u64, reason = "\"quoted\"\n", none = None::<u64>, "it is {}", "so");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("timestamp").is_some_and(|at| at.as_str().unwrap().ends_with('Z')));
        let expected = serde_json::json!({
            "level": "WARN", "target": "bank", "message": "it is so", "span": "turn", "node": "a",
            "shard": 2, "level_": "mine", "epoch": 7, "reason": "\"quoted\"\n",
        });
        assert_eq!(Value::Object(line), expected);
    }
}
