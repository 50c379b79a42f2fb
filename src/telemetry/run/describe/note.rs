//! What happens in the middle of spans, as events.

use opentelemetry::KeyValue;

use super::super::attributes as key;
use super::resource::strings;
use crate::execution::types::SpanNote;

/// The event that a note is.
#[expect(clippy::too_many_lines, reason = "one arm for each note, as a table")]
pub(in super::super) fn note(note: &SpanNote) -> (&'static str, Vec<KeyValue>) {
    match note {
        SpanNote::UnboundInputs { names } => {
            (key::UNBOUND_INPUTS, vec![KeyValue::new(key::UNBOUND_INPUT_NAMES, strings(names))])
        }
        SpanNote::SessionNotEnded { code, message } => (
            key::SESSION_NOT_ENDED,
            vec![
                KeyValue::new(key::ERROR_TYPE, code.clone()),
                KeyValue::new(key::ERROR_MESSAGE, message.clone()),
            ],
        ),
        SpanNote::Waited { waited } => {
            let waited = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
            (key::LIMIT_WAIT, vec![KeyValue::new(key::LIMIT_WAIT_MS, waited)])
        }
        SpanNote::TargetSpans { waited, spans, settled } => (
            key::TARGET_SPANS,
            vec![
                KeyValue::new(
                    key::TARGET_SPANS_WAIT_MS,
                    i64::try_from(waited.as_millis()).unwrap_or(i64::MAX),
                ),
                KeyValue::new(key::TARGET_SPANS_COUNT, i64::try_from(*spans).unwrap_or(i64::MAX)),
                KeyValue::new(key::TARGET_SPANS_SETTLED, *settled),
            ],
        ),
    }
}
