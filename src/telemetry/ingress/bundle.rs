//! Spans of one trace, as they came.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// A trace id.
pub type TraceKey = [u8; 16];

/// Spans of one trace with the resources and scopes that they came with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// Their trace.
    pub trace: TraceKey,
    /// The spans.
    pub groups: Vec<ResourceSpans>,
}

impl Bundle {
    /// The spans of `request` by their traces, and how many have no trace id.
    pub(super) fn sort(request: ExportTraceServiceRequest) -> (Vec<Self>, u64) {
        let (mut sorted, mut invalid) = (BTreeMap::<TraceKey, Vec<ResourceSpans>>::new(), 0);
        for resource in request.resource_spans {
            let (around, scopes) = emptied(resource);
            for (scope, spans) in scopes {
                let mut by_trace = BTreeMap::<Option<TraceKey>, Vec<Span>>::new();
                for span in spans {
                    by_trace.entry(key(&span.trace_id)).or_default().push(span);
                }
                invalid += by_trace.remove(&None).map_or(0, |spans| spans.len() as u64);
                for (trace, spans) in by_trace.into_iter().filter_map(|(trace, spans)| Some((trace?, spans)))
                {
                    let scope_spans = vec![ScopeSpans { spans, ..scope.clone() }];
                    sorted.entry(trace).or_default().push(ResourceSpans { scope_spans, ..around.clone() });
                }
            }
        }
        (sorted.into_iter().map(|(trace, groups)| Self { trace, groups }).collect(), invalid)
    }

    /// How many spans it has.
    #[must_use]
    pub fn spans(&self) -> u64 {
        let scopes = self.groups.iter().flat_map(|group| &group.scope_spans);
        scopes.map(|scope| scope.spans.len() as u64).sum()
    }

    /// Its trace as it is written.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }

    /// The spans as an export request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        ExportTraceServiceRequest { resource_spans: self.groups.clone() }.encode_to_vec()
    }

    /// Reads what [`Bundle::encode`] wrote. Spans of another trace are left out.
    ///
    /// # Errors
    /// If `bytes` are no export request.
    pub fn decode(trace: TraceKey, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let (bundles, _) = Self::sort(ExportTraceServiceRequest::decode(bytes)?);
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
                _ if bundle.encode().len() <= limit => parts.push(bundle),
                spans => whole.extend(bundle.halves(spans / 2)),
            }
        }
        parts
    }

    /// The first `spans` spans, and the rest.
    fn halves(self, spans: u64) -> [Self; 2] {
        let (mut left, trace) = (spans, self.trace);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for group in self.groups {
            let (around, scopes) = emptied(group);
            for (scope, mut spans) in scopes {
                let mine = usize::try_from(left).unwrap_or(usize::MAX).min(spans.len());
                let behind = spans.split_off(mine);
                left -= mine as u64;
                for (half, spans) in [(&mut first, spans), (&mut rest, behind)] {
                    let scope_spans = vec![ScopeSpans { spans, ..scope.clone() }];
                    half.push(ResourceSpans { scope_spans, ..around.clone() });
                }
            }
        }
        [first, rest].map(|groups| Self { trace, groups: groups.into_iter().filter(has_spans).collect() })
    }
}

fn has_spans(group: &ResourceSpans) -> bool {
    group.scope_spans.iter().any(|scope| !scope.spans.is_empty())
}

/// A group without its spans, and these by their scopes.
fn emptied(mut group: ResourceSpans) -> (ResourceSpans, Vec<(ScopeSpans, Vec<Span>)>) {
    let scopes = std::mem::take(&mut group.scope_spans).into_iter().map(|mut scope| {
        let spans = std::mem::take(&mut scope.spans);
        (scope, spans)
    });
    let scopes = scopes.collect();
    (group, scopes)
}

/// The trace id that these bytes are, if they are one (OTLP: 16 bytes, not all zero).
fn key(bytes: &[u8]) -> Option<TraceKey> {
    TraceKey::try_from(bytes).ok().filter(|key| *key != TraceKey::default())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;

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
        let scopes = bundle.groups.iter().flat_map(|group| {
            assert_eq!(group.schema_url, "schema");
            &group.scope_spans
        });
        let names = scopes.flat_map(|scope| {
            let around = scope.scope.as_ref().unwrap().name.clone();
            scope.spans.iter().map(move |span| format!("{around}.{}", span.name))
        });
        names.collect()
    }

    #[test]
    fn spans_are_sorted_by_trace_with_what_is_around_them() {
        let nameless = Span { trace_id: vec![1; 3], ..Span::default() };
        let zero = Span { trace_id: vec![0; 16], ..Span::default() };
        let given =
            request(&[("a", vec![span(1, "x"), span(2, "y"), nameless]), ("b", vec![span(1, "z"), zero])]);
        let (bundles, invalid) = Bundle::sort(given);
        assert_eq!(invalid, 2);
        assert_eq!(bundles.iter().map(told).collect::<Vec<_>>(), [vec!["a.x", "b.z"], vec!["a.y"]]);
        let read = Bundle::decode([1; 16], &bundles[0].encode()).unwrap();
        assert_eq!(read, bundles[0]);
        assert_eq!(Bundle::decode([9; 16], &bundles[0].encode()).unwrap().spans(), 0);
    }

    #[test]
    fn parts_have_every_span_once_and_are_small_enough() {
        let spans: Vec<Span> = (0..20).map(|n| span(1, &format!("{n:0>100}"))).collect();
        let (mut bundles, _) =
            Bundle::sort(request(&[("a", spans[..5].to_vec()), ("b", spans[5..].to_vec())]));
        let whole = bundles.remove(0);
        let mut expected = told(&whole);
        let parts = whole.parts(600);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.spans() == 1 || part.encode().len() <= 600));
        let mut found: Vec<String> = parts.iter().flat_map(told).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
