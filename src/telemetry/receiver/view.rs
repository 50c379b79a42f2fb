//! Received spans as plain data.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use serde::Serialize;
use serde_json::Value;

/// Attributes by key. [`ReceivedSpan::repeated_attributes`] says whether a key came twice.
pub type Attributes = BTreeMap<String, Value>;

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedSpan {
    /// The trace, as 32 hexadecimal digits.
    pub trace_id: String,
    /// The span, as 16 hexadecimal digits.
    pub span_id: String,
    /// The parent span, if it has one.
    pub parent_span_id: Option<String>,
    /// The name.
    pub name: String,
    /// `internal`, `client`, `server`, `producer`, `consumer` or `unspecified`.
    pub kind: &'static str,
    /// Beginning in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// End in nanoseconds since 1970.
    pub end_unix_nanos: u64,
    /// `ok`, `error` or `unset`.
    pub status: &'static str,
    /// What the status says.
    pub status_message: String,
    /// The span's attributes.
    pub attributes: Attributes,
    /// Keys that the request had more than once for this span.
    pub repeated_attributes: Vec<String>,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// The span's events.
    pub events: Vec<ReceivedEvent>,
    /// The span's links.
    pub links: Vec<ReceivedLink>,
    /// Attributes of the resource that made it.
    pub resource: Attributes,
    /// Name of the scope that made it.
    pub scope: String,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedEvent {
    /// The name.
    pub name: String,
    /// The attributes.
    pub attributes: Attributes,
}

/// A link of a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedLink {
    /// The trace that is linked to.
    pub trace_id: String,
    /// The span that is linked to.
    pub span_id: String,
}

pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut received = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(group.resource.unwrap_or_default().attributes);
        for scope in group.scope_spans {
            let name = scope.scope.unwrap_or_default().name;
            received.extend(scope.spans.into_iter().map(|s| span(s, resource.clone(), name.clone())));
        }
    }
    received
}

fn span(span: Span, resource: Attributes, scope: String) -> ReceivedSpan {
    let status = span.status.clone().unwrap_or_default();
    ReceivedSpan {
        trace_id: hex::encode(&span.trace_id),
        span_id: hex::encode(&span.span_id),
        parent_span_id: (!span.parent_span_id.is_empty()).then(|| hex::encode(&span.parent_span_id)),
        kind: kind(span.kind()),
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        status: status_name(status.code()),
        status_message: status.message,
        repeated_attributes: repeated(&span.attributes),
        attributes: attributes(span.attributes),
        dropped_attributes: span.dropped_attributes_count,
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(link).collect(),
        name: span.name,
        resource,
        scope,
    }
}

fn event(event: span::Event) -> ReceivedEvent {
    ReceivedEvent { name: event.name, attributes: attributes(event.attributes) }
}

fn link(link: span::Link) -> ReceivedLink {
    ReceivedLink { trace_id: hex::encode(link.trace_id), span_id: hex::encode(link.span_id) }
}

fn repeated(attributes: &[KeyValue]) -> Vec<String> {
    let keys = || attributes.iter().map(|attribute| &attribute.key);
    keys()
        .enumerate()
        .filter(|(n, key)| keys().take(*n).any(|k| k == *key))
        .map(|(_, key)| key.clone())
        .collect()
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    attributes.into_iter().map(|attribute| (attribute.key, plain_value(attribute.value))).collect()
}

pub(in crate::telemetry) fn plain_value(given: Option<AnyValue>) -> Value {
    use any_value::Value as Wire;
    match given.and_then(|any| any.value) {
        None | Some(Wire::StringValueStrindex(_)) => Value::Null,
        Some(Wire::StringValue(text)) => text.into(),
        Some(Wire::BoolValue(flag)) => flag.into(),
        Some(Wire::IntValue(number)) => number.into(),
        Some(Wire::DoubleValue(number)) => number.into(),
        Some(Wire::ArrayValue(array)) => {
            array.values.into_iter().map(|item| plain_value(Some(item))).collect()
        }
        Some(Wire::KvlistValue(list)) => Value::Object(attributes(list.values).into_iter().collect()),
        Some(Wire::BytesValue(bytes)) => hex::encode(bytes).into(),
    }
}

fn kind(kind: span::SpanKind) -> &'static str {
    match kind {
        span::SpanKind::Unspecified => "unspecified",
        span::SpanKind::Internal => "internal",
        span::SpanKind::Server => "server",
        span::SpanKind::Client => "client",
        span::SpanKind::Producer => "producer",
        span::SpanKind::Consumer => "consumer",
    }
}

fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}
