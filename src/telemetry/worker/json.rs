//! The log as a JSON object a line.
//!
//! What the spans around an event know, such as the run, stands beside the event's own fields, so that one key finds every line of a run.

use std::fmt;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The field of what an event says.
const MESSAGE: &str = "message";

/// Writes each event as one object on one line.
pub(super) struct OneObject;

impl<S> FormatEvent<S, JsonFields> for OneObject
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut object = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                object.extend(serde_json::from_str::<Map<String, Value>>(fields).unwrap_or_default());
            }
        }
        event.record(&mut Fields(&mut object));
        let (metadata, message) = (event.metadata(), object.get(MESSAGE));
        // Libraries have events with a name instead of words.
        if message.and_then(Value::as_str).is_none_or(str::is_empty) {
            object.insert(MESSAGE.to_owned(), metadata.name().into());
        }
        let whole = head(*metadata.level(), metadata.target(), object);
        let written = serde_json::to_string(&whole).map_err(|_| fmt::Error)?;
        writeln!(writer, "{written}")
    }
}

/// An error of this program in one object, where there is no subscriber to write it.
pub(super) fn error(message: &str, hint: Option<&str>) -> String {
    let fields = [(MESSAGE, Some(message)), ("hint", hint)];
    let object =
        fields.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?.into()))).collect();
    Value::from(head(Level::ERROR, env!("CARGO_CRATE_NAME"), object)).to_string()
}

/// When, how bad and where come first, and no field can pretend to be them.
fn head(level: Level, target: &str, mut object: Map<String, Value>) -> Map<String, Value> {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let level = level.to_string();
    let mut whole = Map::new();
    for (key, value) in [("timestamp", now), ("level", level), ("target", target.to_owned())] {
        object.remove(key);
        whole.insert(key.to_owned(), value.into());
    }
    whole.extend(object);
    whole
}

/// Keeps numbers and truth values as they are; everything else is text.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(OneObject)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_the_event_and_of_the_spans_around_it() {
        let lines = logged(|| {
            let run = tracing::info_span!("run", run = "r1", project = "acme");
            let _run = run.enter();
            let call = tracing::info_span!("call", attempt = 2);
            let _call = call.enter();
            tracing::warn!(turns = 3, late = true, error = %"a \"bad\"\nday", "it is over");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let expected = serde_json::json!({
            "level": "WARN", "message": "it is over", "run": "r1", "project": "acme", "attempt": 2, "turns": 3,
            "late": true, "error": "a \"bad\"\nday", "target": module_path!(),
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key} in {line}");
        }
        OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
    }

    #[test]
    fn an_event_without_words_has_its_name_as_its_message() {
        let lines = logged(|| {
            tracing::error!(name: "Exporter.Failed", name = "Exporter.Failed", error = "reset");
            tracing::error!(name: "Exporter.Silent", cause = 7, "");
        });
        assert_eq!((&lines[0]["message"], &lines[0]["error"]), (&"Exporter.Failed".into(), &"reset".into()));
        assert_eq!((&lines[1]["message"], &lines[1]["cause"]), (&"Exporter.Silent".into(), &7.into()));
    }

    #[test]
    fn an_error_without_a_log_is_such_a_line_too() {
        let line: Value = serde_json::from_str(&error("it is\n\"bad\"", None)).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"it is\n\"bad\"".into()));
        assert_eq!(line.get("hint"), None);
        OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
    }

    #[test]
    fn no_field_pretends_to_be_the_level() {
        let lines = logged(|| tracing::error!(level = "INFO", timestamp = 0, "it is bad"));
        assert_eq!(lines[0]["level"], "ERROR");
        assert_ne!(lines[0]["timestamp"], 0);
    }
}
