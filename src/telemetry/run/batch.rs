//! The request for a batch of spans: the run's own in the run's envelope, those of its target in the one that they came in.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::buffer::SizedSpan;
use crate::telemetry::export::{SpanEnvelope, unwrapped};

/// The request, encoded. The spans stay in the batch; those of one envelope stand together in it then.
pub(super) fn encode(own: &SpanEnvelope, batch: &mut [SizedSpan]) -> Vec<u8> {
    batch.sort_by_key(|span| span.envelope.as_ref().map(Arc::as_ptr));
    let groups = batch.chunk_by_mut(same_envelope).map(|group| {
        let spans = group.iter_mut().map(|sized| std::mem::take(&mut sized.span)).collect();
        let envelope = group.first().and_then(|sized| sized.envelope.as_deref()).unwrap_or(own);
        envelope.around(spans)
    });
    let request = ExportTraceServiceRequest { resource_spans: groups.collect() };
    let body = request.encode_to_vec();
    let sent = request.resource_spans.into_iter().flat_map(unwrapped);
    hand_back(sent, batch);
    body
}

fn hand_back(sent: impl Iterator<Item = Span>, batch: &mut [SizedSpan]) {
    for (sized, span) in batch.iter_mut().zip(sent) {
        sized.span = span;
    }
}

fn same_envelope(one: &SizedSpan, next: &SizedSpan) -> bool {
    match (&one.envelope, &next.envelope) {
        (None, None) => true,
        (Some(one), Some(next)) => Arc::ptr_eq(one, next),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::InstrumentationScope;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope as WireScope;
    use opentelemetry_sdk::Resource;

    use super::super::buffer::Maker;
    use super::*;
    use crate::telemetry::export::ResourceEnvelope;

    fn sized(name: &str, envelope: Option<&Arc<SpanEnvelope>>) -> SizedSpan {
        let span = Span { name: name.into(), ..Span::default() };
        SizedSpan { span, bytes: 0, envelope: envelope.cloned(), maker: Maker::Run, weight: 0 }
    }

    #[test]
    fn every_span_goes_in_its_own_envelope_and_stays_in_the_batch() {
        let own = SpanEnvelope::new(
            &Resource::builder_empty().build(),
            &InstrumentationScope::builder("own").build(),
        );
        let scope = WireScope { name: "theirs".into(), ..WireScope::default() };
        let resource = Arc::new(ResourceEnvelope::received(None, "resource".into()));
        let theirs = SpanEnvelope::received(&resource, Some(scope), "scope".into());
        let theirs = Arc::new(theirs);
        let mut batch =
            vec![sized("a", None), sized("x", Some(&theirs)), sized("b", None), sized("y", Some(&theirs))];
        let body = encode(&own, &mut batch);
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        let mut told = Vec::new();
        for group in &request.resource_spans {
            let scope = &group.scope_spans[0];
            let names: Vec<&str> = scope.spans.iter().map(|span| span.name.as_str()).collect();
            told.push((scope.scope.as_ref().unwrap().name.as_str(), group.schema_url.as_str(), names));
        }
        assert_eq!(told, [("own", "", vec!["a", "b"]), ("theirs", "resource", vec!["x", "y"])]);
        assert_eq!(batch.iter().map(|sized| sized.span.name.as_str()).collect::<String>(), "abxy");
    }
}
