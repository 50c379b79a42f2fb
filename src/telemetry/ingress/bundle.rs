//! Spans of one trace, as they came.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::body::MAX_BODY_BYTES;
use super::reception::{Reception, Refusal};
use crate::telemetry::export::{ResourceEnvelope, SPAN_FRAMING_BYTES, SpanEnvelope};

/// A trace id.
pub type TraceKey = [u8; 16];

/// The most traces of one request: an agent that serves more runs at once sends more than one request.
const MOST_TRACES: usize = 256;
/// The most bytes of what stands around the spans of a scope, such as the resource: it travels with every batch.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;
/// The most bytes of what stands around spans in all bundles of a request, each of which travels by itself: 16 MiB. With
/// it they are no more than three times the largest body.
const MAX_AROUND_BYTES: usize = 2 * MAX_BODY_BYTES;

/// Spans with what they came in, which others may share.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Resource and scope.
    pub around: Arc<SpanEnvelope>,
    /// The spans.
    pub spans: Vec<Span>,
}

/// Spans of one trace with the resources and scopes that they came with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// Their trace.
    pub trace: TraceKey,
    /// The spans.
    pub groups: Vec<Group>,
}

/// The spans of one request by their traces, as far as they are taken.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// A bundle for each trace.
    pub(super) bundles: Vec<Bundle>,
    /// Those that are not taken.
    pub(super) refused: Reception,
    places: HashMap<TraceKey, usize>,
    /// Bytes around the spans in all bundles.
    around_bytes: usize,
}

impl Sorted {
    /// Sorts the spans of `request`. What is around them is not copied.
    pub(super) fn new(request: ExportTraceServiceRequest) -> Self {
        let mut sorted = Self::default();
        for ResourceSpans { resource, scope_spans, schema_url } in request.resource_spans {
            let resource = Arc::new(ResourceEnvelope::received(resource, schema_url));
            for ScopeSpans { scope, spans, schema_url } in scope_spans {
                let around = Arc::new(SpanEnvelope::received(&resource, scope, schema_url));
                for span in spans {
                    if let Err(refusal) = sorted.add(span, &around) {
                        sorted.refused.refuse(refusal, 1);
                    }
                }
            }
        }
        sorted
    }

    fn add(&mut self, span: Span, around: &Arc<SpanEnvelope>) -> Result<(), Refusal> {
        let trace = key(&span.trace_id).ok_or(Refusal::Invalid)?;
        if around.size() > MAX_ENVELOPE_BYTES {
            return Err(Refusal::TooLarge);
        }
        let place = self.places.get(&trace).copied();
        let last = place.and_then(|place| self.bundles.get_mut(place)?.groups.last_mut());
        if let Some(group) = last.filter(|last| Arc::ptr_eq(&last.around, around)) {
            group.spans.push(span);
            return Ok(());
        }
        self.open(trace, Group { around: Arc::clone(around), spans: vec![span] })
    }

    /// Adds a group to the bundle of `trace`, which may be the first of its trace.
    fn open(&mut self, trace: TraceKey, group: Group) -> Result<(), Refusal> {
        let known = self.places.get(&trace).copied();
        if known.is_none() && self.bundles.len() >= MOST_TRACES {
            return Err(Refusal::TooManyTraces);
        }
        let last = known.and_then(|place| self.bundles[place].groups.last());
        let around_bytes =
            self.around_bytes + group.around.size_beside(last.map(|last| last.around.as_ref()));
        if around_bytes > MAX_AROUND_BYTES {
            return Err(Refusal::TooLarge);
        }
        self.around_bytes = around_bytes;
        let place = *self.places.entry(trace).or_insert(self.bundles.len());
        if place == self.bundles.len() {
            self.bundles.push(Bundle { trace, groups: Vec::new() });
        }
        self.bundles[place].groups.push(group);
        Ok(())
    }
}

impl Bundle {
    /// How many spans it has.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.groups.iter().map(|group| group.spans.len() as u64).sum()
    }

    /// Its trace as it is written.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }

    /// The spans as an export request, with each resource once for all of its scopes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let resources = self.groups.chunk_by(|one, next| one.around.is_beside(&next.around));
        let resource_spans = resources.filter_map(|groups| {
            SpanEnvelope::around_all(groups.iter().map(|group| (group.around.as_ref(), group.spans.clone())))
        });
        ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
    }

    /// The most bytes that it has as an export request.
    fn size(&self) -> usize {
        let before = std::iter::once(None).chain(self.groups.iter().map(Some));
        let sizes = before.zip(&self.groups).map(|(before, group)| {
            let spans = group.spans.iter().map(|span| span.encoded_len() + SPAN_FRAMING_BYTES);
            group.around.size_beside(before.map(|before| before.around.as_ref())) + spans.sum::<usize>()
        });
        sizes.sum()
    }

    /// Reads what [`Bundle::encode`] wrote. Spans of another trace are left out.
    ///
    /// # Errors
    /// If `bytes` are no export request.
    pub fn decode(trace: TraceKey, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let Sorted { bundles, .. } = Sorted::new(ExportTraceServiceRequest::decode(bytes)?);
        let own = bundles.into_iter().find(|bundle| bundle.trace == trace);
        Ok(own.unwrap_or_else(|| Self { trace, groups: Vec::new() }))
    }

    /// The same spans in bundles of at most `limit` bytes each; one that has a single span may be larger.
    #[must_use]
    pub fn parts(self, limit: usize) -> Vec<Self> {
        let (mut whole, mut parts) = (vec![self], Vec::new());
        while let Some(bundle) = whole.pop() {
            match bundle.spans() {
                0 => {}
                1 => parts.push(bundle),
                _ if bundle.size() <= limit => parts.push(bundle),
                spans => whole.extend(bundle.halves(spans / 2)),
            }
        }
        parts
    }

    /// The first `spans` spans, and the rest.
    fn halves(self, spans: u64) -> [Self; 2] {
        let (mut left, trace) = (spans, self.trace);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for Group { around, mut spans } in self.groups {
            let behind = spans.split_off(usize::try_from(left).unwrap_or(usize::MAX).min(spans.len()));
            left -= spans.len() as u64;
            rest.push(Group { around: Arc::clone(&around), spans: behind });
            first.push(Group { around, spans });
        }
        let has_spans = |group: &Group| !group.spans.is_empty();
        [first, rest].map(|groups| Self { trace, groups: groups.into_iter().filter(has_spans).collect() })
    }
}

/// The trace id that these bytes are, if they are one (OTLP: 16 bytes, not all zero).
fn key(bytes: &[u8]) -> Option<TraceKey> {
    TraceKey::try_from(bytes).ok().filter(|key| *key != TraceKey::default())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
    use opentelemetry_proto::tonic::resource::v1::Resource;

    use super::*;

    fn span(trace: u8, name: &str) -> Span {
        Span { trace_id: vec![trace; 16], name: name.to_owned(), ..Span::default() }
    }

    fn request(scopes: &[(&str, Vec<Span>)]) -> ExportTraceServiceRequest {
        let scope = |(name, spans): &(&str, Vec<Span>)| ScopeSpans {
            scope: Some(InstrumentationScope { name: (*name).to_owned(), ..Default::default() }),
            spans: spans.clone(),
            ..ScopeSpans::default()
        };
        let scope_spans = scopes.iter().map(scope).collect();
        let group = ResourceSpans { scope_spans, schema_url: "schema".into(), ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![group] }
    }

    /// Scope and name of every span.
    fn told(bundle: &Bundle) -> Vec<String> {
        let encoded = ExportTraceServiceRequest::decode(bundle.encode().as_slice()).unwrap();
        let scopes = encoded.resource_spans.into_iter().flat_map(|group| {
            assert_eq!(group.schema_url, "schema");
            group.scope_spans
        });
        let names = scopes.flat_map(|scope| {
            let around = scope.scope.as_ref().unwrap().name.clone();
            scope.spans.into_iter().map(move |span| format!("{around}.{}", span.name))
        });
        names.collect()
    }

    #[test]
    fn spans_are_sorted_by_trace_with_what_is_around_them() {
        let nameless = Span { trace_id: vec![1; 3], ..Span::default() };
        let zero = Span { trace_id: vec![0; 16], ..Span::default() };
        let given =
            request(&[("a", vec![span(1, "x"), span(2, "y"), nameless]), ("b", vec![span(1, "z"), zero])]);
        let Sorted { bundles, refused, .. } = Sorted::new(given);
        assert_eq!(refused, Reception::refusal(Refusal::Invalid, 2));
        assert_eq!(bundles.iter().map(told).collect::<Vec<_>>(), [vec!["a.x", "b.z"], vec!["a.y"]]);
        let read = Bundle::decode([1; 16], &bundles[0].encode()).unwrap();
        assert_eq!(read, bundles[0]);
        assert_eq!(Bundle::decode([9; 16], &bundles[0].encode()).unwrap().spans(), 0);
    }

    #[test]
    fn parts_have_every_span_once_and_are_small_enough() {
        let spans: Vec<Span> = (0..20).map(|n| span(1, &format!("{n:0>100}"))).collect();
        let sorted = Sorted::new(request(&[("a", spans[..5].to_vec()), ("b", spans[5..].to_vec())]));
        let whole = sorted.bundles.into_iter().next().unwrap();
        let mut expected = told(&whole);
        let parts = whole.parts(600);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.spans() == 1 || part.encode().len() <= 600));
        let mut found: Vec<String> = parts.iter().flat_map(told).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    /// A request with one resource of so many bytes, and `scopes` with one span each, of the trace that `trace` says.
    fn crowded(resource: usize, scopes: u32, trace: impl Fn(u32) -> u32) -> ExportTraceServiceRequest {
        let span = |n: u32| Span {
            trace_id: [&[1; 12][..], &trace(n).to_be_bytes()].concat(),
            span_id: [[1; 4], n.to_be_bytes()].concat(),
            ..Span::default()
        };
        let scope_spans = (0..scopes).map(|n| ScopeSpans { spans: vec![span(n)], ..ScopeSpans::default() });
        let text = any_value::Value::StringValue("x".repeat(resource));
        let value = Some(AnyValue { value: Some(text) });
        let resource = Resource {
            attributes: vec![KeyValue { key: "x".into(), value, ..KeyValue::default() }],
            ..Resource::default()
        };
        let group = ResourceSpans {
            resource: Some(resource),
            scope_spans: scope_spans.collect(),
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![group] }
    }

    fn bytes_out(sorted: &Sorted) -> usize {
        sorted.bundles.iter().map(|bundle| bundle.encode().len()).sum()
    }

    #[test]
    fn a_large_resource_is_not_multiplied_by_traces_or_scopes() {
        // One megabyte, and spans of as many traces: each bundle would have it again.
        let huge = Sorted::new(crowded(1_000_000, 2000, |n| n));
        assert_eq!((huge.bundles.len(), huge.refused.refused[&Refusal::TooLarge]), (0, 2000));
        let many = Sorted::new(crowded(60_000, 2000, |n| n));
        assert_eq!((many.bundles.len(), many.refused.refused[&Refusal::TooManyTraces]), (256, 1744));
        assert!(bytes_out(&many) <= MAX_AROUND_BYTES + 256 * 100, "{}", bytes_out(&many));
        let scopes = Sorted::new(crowded(60_000, 2000, |_| 0));
        assert_eq!((scopes.bundles.len(), scopes.bundles[0].spans()), (1, 2000));
        assert!(bytes_out(&scopes) < 60_000 + 2000 * 100, "{}", bytes_out(&scopes));
        assert!(bytes_out(&scopes) <= scopes.bundles[0].size());
    }

    #[test]
    fn what_is_around_spans_is_bounded_for_all_traces_together() {
        let mut given = ExportTraceServiceRequest::default();
        for _ in 0..20 {
            given.resource_spans.extend(crowded(50_000, 256, |n| n).resource_spans);
        }
        assert!(given.encoded_len() < MAX_BODY_BYTES);
        let sorted = Sorted::new(given);
        let taken: u64 = sorted.bundles.iter().map(Bundle::spans).sum();
        assert_eq!(taken + sorted.refused.refused[&Refusal::TooLarge], 20 * 256);
        assert!(taken > 300 && bytes_out(&sorted) <= 3 * MAX_BODY_BYTES, "{taken}");
    }
}
