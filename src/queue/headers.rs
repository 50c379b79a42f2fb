//! Headers of messages, written and read.

use std::collections::BTreeMap;

use async_nats::HeaderMap;

use crate::events::{BatchRunId, InvalidTraceContext, RunKey, TraceContext, subjects};

/// Header: how long the stream keeps a message, in seconds (ADR-43).
pub const HEADER_TTL: &str = "Nats-TTL";
/// Header: the message is stored only if this is the last sequence of its subject; 0 means that there is none.
pub const HEADER_EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// What every event of a run carries.
#[must_use]
pub fn event(key: &RunKey, batch: &BatchRunId, id: &str, trace: Option<&TraceContext>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(subjects::HEADER_MESSAGE_ID, format!("{}:{}:{id}", key.project, key.run));
    headers.insert(subjects::HEADER_RUN_ID, key.run.as_str());
    headers.insert(subjects::HEADER_PROJECT_ID, key.project.as_str());
    headers.insert(subjects::HEADER_BATCH_RUN_ID, batch.as_str());
    headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
    add_trace_context(&mut headers, trace);
    headers
}

/// Adds `traceparent` and, if there is a state, `tracestate`.
pub fn add_trace_context(headers: &mut HeaderMap, trace: Option<&TraceContext>) {
    let Some(trace) = trace else { return };
    headers.insert(subjects::HEADER_TRACEPARENT, trace.traceparent());
    if !trace.state.is_empty() {
        headers.insert(subjects::HEADER_TRACESTATE, trace.state.as_str());
    }
}

/// The trace context of `headers`, from every value of the two headers, however their names are written.
///
/// # Errors
/// [`InvalidTraceContext`] if it is not beyond doubt.
pub fn trace_context(headers: &HeaderMap) -> Result<Option<TraceContext>, InvalidTraceContext> {
    let parents = values(headers, subjects::HEADER_TRACEPARENT);
    TraceContext::from_headers(&parents, &values(headers, subjects::HEADER_TRACESTATE))
}

/// Every header with all of its values, in the order of their names.
#[must_use]
pub fn to_map(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let texts = |values: &Vec<async_nats::HeaderValue>| values.iter().map(ToString::to_string).collect();
    headers.iter().map(|(name, values)| (name.to_string(), texts(values))).collect()
}

/// NATS tells `Traceparent` from `traceparent`, and W3C Trace Context does not (section 3.2.1): two of them are two. White space
/// around a value is no part of it.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let spelled = |(spelling, values): (&'a async_nats::HeaderName, &'a Vec<async_nats::HeaderValue>)| {
        let spelling: &str = spelling.as_ref();
        spelling.eq_ignore_ascii_case(name).then_some((spelling, values))
    };
    let mut found: Vec<_> = headers.iter().filter_map(spelled).collect();
    // The map has no order of its own.
    found.sort_unstable_by_key(|(spelling, _)| *spelling);
    let values = found.into_iter().flat_map(|(_, values)| values);
    values.map(|value| value.as_str().trim_matches([' ', '\t'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_round_trips_and_two_parents_are_refused() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        assert_eq!(trace_context(&headers).unwrap(), None);
        headers.insert("traceparent", parent);
        headers.insert("tracestate", "a=1");
        let context = trace_context(&headers).unwrap().unwrap();
        let mut written = HeaderMap::new();
        add_trace_context(&mut written, Some(&context));
        assert_eq!(written, headers);
        headers.append("traceparent", parent);
        assert!(trace_context(&headers).is_err());
    }

    #[test]
    fn a_name_may_be_written_in_any_case_but_only_once() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.insert("TraceParent", format!("{parent} "));
        headers.insert("Tracestate", "a=1");
        headers.insert("tracestate", "b=2");
        let context = trace_context(&headers).unwrap().unwrap();
        assert_eq!((context.traceparent().as_str(), context.state.as_str()), (parent, "a=1,b=2"));
        headers.insert("traceparent", parent);
        assert!(trace_context(&headers).is_err());
    }
}
