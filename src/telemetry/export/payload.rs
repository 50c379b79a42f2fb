//! The body of an export request.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry::InstrumentationScope;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope as WireScope;
use opentelemetry_proto::tonic::resource::v1::Resource as WireResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use prost::Message as _;

/// The most bytes of spans in one request before compression: 4 MiB, well under the 10 MiB that LangWatch takes.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that a span takes in a request beside its own: a tag and a length.
pub(crate) const SPAN_FRAMING_BYTES: usize = 6;
/// The most bytes by which the lengths of what is around the spans grow with these.
const NESTING_BYTES: usize = 8;

/// Bodies above this many bytes are compressed on a thread for blocking work; below it, moving them costs more.
const COMPRESS_ELSEWHERE_BYTES: usize = 256 * 1024;

/// What every request of one run says around its spans: who made them.
#[derive(Debug, Clone)]
pub struct SpanEnvelope {
    resource: Option<WireResource>,
    resource_schema: String,
    scope: Option<WireScope>,
    scope_schema: String,
}

impl SpanEnvelope {
    /// The envelope for spans of `resource` made by `scope`.
    #[must_use]
    pub fn new(resource: &Resource, scope: &InstrumentationScope) -> Self {
        let ResourceAttributesWithSchema { attributes, schema_url } = resource.into();
        Self {
            resource: Some(WireResource { attributes: attributes.0, ..WireResource::default() }),
            resource_schema: schema_url.unwrap_or_default(),
            scope: Some((scope, None).into()),
            scope_schema: scope.schema_url().unwrap_or_default().to_owned(),
        }
    }

    /// The envelope in which somebody else sent spans.
    pub(crate) fn received(
        resource: (Option<WireResource>, String),
        scope: (Option<WireScope>, String),
    ) -> Self {
        let ((resource, resource_schema), (scope, scope_schema)) = (resource, scope);
        Self { resource, resource_schema, scope, scope_schema }
    }

    /// Bytes that it adds to a request.
    pub(crate) fn size(&self) -> usize {
        self.encode(&mut Vec::new()).len() + NESTING_BYTES
    }

    /// Bytes of spans, framing included, that fit in one request.
    pub(crate) fn room(&self) -> usize {
        MAX_REQUEST_BYTES.saturating_sub(self.size())
    }

    /// The request for `spans`, encoded. The spans are handed back untouched.
    pub(crate) fn encode(&self, spans: &mut Vec<Span>) -> Vec<u8> {
        let mut request =
            ExportTraceServiceRequest { resource_spans: vec![self.around(std::mem::take(spans))] };
        let body = request.encode_to_vec();
        *spans = request.resource_spans.pop().map(unwrapped).unwrap_or_default();
        body
    }

    /// `spans` with what is around them.
    pub(crate) fn around(&self, spans: Vec<Span>) -> ResourceSpans {
        ResourceSpans {
            resource: self.resource.clone(),
            scope_spans: vec![ScopeSpans {
                scope: self.scope.clone(),
                spans,
                schema_url: self.scope_schema.clone(),
            }],
            schema_url: self.resource_schema.clone(),
        }
    }
}

/// The spans of a group, without what is around them.
pub(crate) fn unwrapped(group: ResourceSpans) -> Vec<Span> {
    group.scope_spans.into_iter().flat_map(|scope| scope.spans).collect()
}

/// A body and its `Content-Encoding`, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The body as it travels.
    pub body: Bytes,
    /// Whether it is compressed.
    pub gzip: bool,
}

/// Compresses a body; what cannot be compressed goes as it is.
pub(in crate::telemetry) async fn compress(body: Vec<u8>) -> Packed {
    let body = Bytes::from(body);
    let source = body.clone();
    let packed = if source.len() > COMPRESS_ELSEWHERE_BYTES {
        tokio::task::spawn_blocking(move || gzip(&source)).await.ok().flatten()
    } else {
        gzip(&source)
    };
    match packed {
        Some(packed) => Packed { body: packed.into(), gzip: true },
        None => Packed { body, gzip: false },
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_hands_the_spans_back() {
        let scope = InstrumentationScope::builder("test").build();
        let envelope = SpanEnvelope::new(&Resource::builder_empty().build(), &scope);
        let given = vec![Span { name: "a".into(), ..Span::default() }];
        let mut spans = given.clone();
        let body = envelope.encode(&mut spans);
        assert_eq!(spans, given);
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        assert_eq!(request.resource_spans[0].scope_spans[0].spans, given);
    }
}
