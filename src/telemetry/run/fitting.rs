//! A span that is too large is cut: it would burst a request, and a run keeps many spans in memory.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::attributes as key;
use crate::text::cut;

/// The most bytes of one span, encoded: 1 MiB. A larger one is cut.
pub const MAX_SPAN_BYTES: usize = 1024 * 1024;
/// The most bytes of a text on a span that is cut. A longer one ends in `… [truncated]`.
pub const CUT_TEXT_BYTES: usize = 1024;

/// `span`, cut if it is too large: its texts first, then its events. One that is cut says so.
pub(super) fn fitting(mut span: Span) -> Span {
    if span.encoded_len() <= MAX_SPAN_BYTES {
        return span;
    }
    let on_events = span.events.iter_mut().flat_map(|event| &mut event.attributes);
    for attribute in span.attributes.iter_mut().chain(on_events) {
        shorten(attribute);
    }
    if span.encoded_len() > MAX_SPAN_BYTES {
        let dropped = u32::try_from(span.events.len()).unwrap_or(u32::MAX);
        span.events.clear();
        span.dropped_events_count = span.dropped_events_count.saturating_add(dropped);
    }
    span.attributes.push(mark());
    span
}

fn shorten(attribute: &mut KeyValue) {
    if let Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) = &mut attribute.value {
        *text = cut(text, CUT_TEXT_BYTES);
    }
}

fn mark() -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::BoolValue(true)) });
    KeyValue { key: key::SCENARIO_SPAN_CUT.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::Event;

    use super::*;
    use crate::text::TRUNCATED;

    fn text(bytes: usize) -> KeyValue {
        let value = any_value::Value::StringValue("x".repeat(bytes));
        KeyValue { key: "text".into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    fn event(bytes: usize) -> Event {
        Event { attributes: vec![text(bytes)], ..Event::default() }
    }

    #[test]
    fn a_span_that_fits_stays_as_it_is() {
        let span = Span { attributes: vec![text(1000)], events: vec![event(1000)], ..Span::default() };
        assert_eq!(fitting(span.clone()), span);
    }

    #[test]
    fn a_large_span_loses_length_first_and_events_only_then_and_says_so() {
        let large =
            Span { attributes: vec![text(MAX_SPAN_BYTES)], events: vec![event(5000)], ..Span::default() };
        let cut = fitting(large);
        assert!(cut.encoded_len() < 3 * CUT_TEXT_BYTES, "{}", cut.encoded_len());
        assert_eq!((cut.events.len(), cut.attributes[1].key.as_str()), (1, "scenario.span.cut"));
        let shown = format!("{:?}", cut.attributes[0]);
        assert!(shown.contains(TRUNCATED), "{shown}");
        let crowded = Span { events: vec![event(2000); 2000], ..Span::default() };
        let cut = fitting(crowded);
        assert!(cut.encoded_len() <= MAX_SPAN_BYTES);
        assert_eq!((cut.events.len(), cut.dropped_events_count), (0, 2000));
    }
}
