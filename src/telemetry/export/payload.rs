//! The body of an export request.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry::InstrumentationScope;
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
/// The most bytes that a resource, or a scope, takes in a request beside its own: a tag and a length.
const AROUND_FRAMING_BYTES: usize = 6;

/// Bodies above this many bytes are compressed on a thread for blocking work; below it, moving them costs more.
const COMPRESS_ELSEWHERE_BYTES: usize = 256 * 1024;

/// A resource that made spans, as it stands in a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceEnvelope {
    resource: Option<WireResource>,
    schema: String,
    /// Bytes that it adds to a request.
    size: usize,
}

impl ResourceEnvelope {
    /// A resource whose spans somebody sent.
    pub(crate) fn received(resource: Option<WireResource>, schema_url: String) -> Self {
        let alone = ResourceSpans { resource, schema_url, ..ResourceSpans::default() };
        let size = alone.encoded_len() + AROUND_FRAMING_BYTES;
        Self { resource: alone.resource, schema: alone.schema_url, size }
    }

    /// `scope_spans` with the resource around them.
    fn around(&self, scope_spans: Vec<ScopeSpans>) -> ResourceSpans {
        ResourceSpans { resource: self.resource.clone(), scope_spans, schema_url: self.schema.clone() }
    }
}

/// What every request says around its spans: who made them. Those of one resource share it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpanEnvelope {
    resource: Arc<ResourceEnvelope>,
    scope: Option<WireScope>,
    scope_schema: String,
    /// Bytes that the scope adds to a request.
    scope_size: usize,
}

impl SpanEnvelope {
    /// The envelope for spans of `resource` made by `scope`.
    #[must_use]
    pub fn new(resource: &Resource, scope: &InstrumentationScope) -> Self {
        let ResourceAttributesWithSchema { attributes, schema_url } = resource.into();
        let resource = WireResource { attributes: attributes.0, ..WireResource::default() };
        let resource = Arc::new(ResourceEnvelope::received(Some(resource), schema_url.unwrap_or_default()));
        let schema = scope.schema_url().unwrap_or_default().to_owned();
        Self::received(&resource, Some((scope, None).into()), schema)
    }

    /// The envelope in which somebody else sent spans.
    pub(crate) fn received(
        resource: &Arc<ResourceEnvelope>,
        scope: Option<WireScope>,
        schema_url: String,
    ) -> Self {
        let alone = ScopeSpans { scope, schema_url, ..ScopeSpans::default() };
        let scope_size = alone.encoded_len() + AROUND_FRAMING_BYTES;
        Self {
            resource: Arc::clone(resource),
            scope: alone.scope,
            scope_schema: alone.schema_url,
            scope_size,
        }
    }

    /// Bytes that it adds to a request.
    pub(crate) fn size(&self) -> usize {
        self.resource.size + self.scope_size
    }

    /// Bytes that it adds to a request which has `other` already, if that is of the same resource.
    pub(crate) fn size_beside(&self, other: Option<&Self>) -> usize {
        if other.is_some_and(|other| self.is_beside(other)) { self.scope_size } else { self.size() }
    }

    /// Whether both are of the same resource of the same request.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.resource, &other.resource)
    }

    /// Bytes of spans, framing included, that fit in one request.
    pub(crate) fn room(&self) -> usize {
        MAX_REQUEST_BYTES.saturating_sub(self.size())
    }

    /// `spans` with what is around them.
    pub(crate) fn around(&self, spans: Vec<Span>) -> ResourceSpans {
        self.resource.around(vec![self.within_scope(spans)])
    }

    /// Spans of scopes of one resource, which is that of the first, with what is around them.
    pub(crate) fn around_all<'a>(
        scopes: impl Iterator<Item = (&'a Self, Vec<Span>)>,
    ) -> Option<ResourceSpans> {
        let mut scopes = scopes.peekable();
        let resource = Arc::clone(&scopes.peek()?.0.resource);
        Some(resource.around(scopes.map(|(envelope, spans)| envelope.within_scope(spans)).collect()))
    }

    fn within_scope(&self, spans: Vec<Span>) -> ScopeSpans {
        ScopeSpans { scope: self.scope.clone(), spans, schema_url: self.scope_schema.clone() }
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
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::*;

    #[test]
    fn an_envelope_is_as_large_as_it_says_and_shares_its_resource() {
        let resource = Resource::builder_empty().with_service_name("shop".repeat(1000)).build();
        let resource = SpanEnvelope::new(&resource, &InstrumentationScope::builder("one").build()).resource;
        let scope = |name: &str| {
            let scope = WireScope { name: name.repeat(1000), ..WireScope::default() };
            SpanEnvelope::received(&resource, Some(scope), "schema".into())
        };
        let (one, next) = (scope("one"), scope("next"));
        let group = SpanEnvelope::around_all([(&one, Vec::new()), (&next, Vec::new())].into_iter()).unwrap();
        let encoded = ExportTraceServiceRequest { resource_spans: vec![group] }.encoded_len();
        let told = one.size() + next.size_beside(Some(&one));
        assert!(encoded <= told && told < encoded + 20, "{encoded} {told}");
        assert_eq!(next.size_beside(Some(&SpanEnvelope::default())), next.size());
    }
}
