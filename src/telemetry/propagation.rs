//! Between the trace context of the wire contract and the one of the OpenTelemetry SDK.

use std::str::FromStr as _;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::events::TraceContext;

/// Name of the header that carries trace and span id (W3C Trace Context, section 3.2).
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header that carries vendors' additions (W3C Trace Context, section 3.3).
pub const TRACESTATE: &str = "tracestate";

/// The span context of somebody else's span.
///
/// A member of the state that the SDK does not take, although it is valid, costs only that member.
#[must_use]
pub fn remote_span_context(context: &TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        true,
        state(&context.state),
    )
}

fn state(members: &str) -> TraceState {
    let is_taken = |member: &&str| TraceState::from_str(member).is_ok();
    let taken: Vec<&str> = members.split(',').filter(is_taken).collect();
    TraceState::from_str(&taken.join(",")).unwrap_or_default()
}

/// The trace context that tells a callee about a span of ours.
#[must_use]
pub fn trace_context(context: &SpanContext) -> TraceContext {
    TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
        state: context.trace_state().header(),
    }
}

/// The headers of an outgoing call. An empty state sends no `tracestate`.
#[must_use]
pub fn headers(context: &TraceContext) -> Vec<(&'static str, String)> {
    let mut headers = vec![(TRACEPARENT, context.traceparent())];
    if !context.state.is_empty() {
        headers.push((TRACESTATE, context.state.clone()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_survives_the_sdk_with_its_state() {
        let given = TraceContext::from_headers(&[PARENT], &["a=1,b@v=2"]).unwrap().unwrap();
        let span_context = remote_span_context(&given);
        assert!(span_context.is_remote() && span_context.is_sampled());
        assert_eq!(trace_context(&span_context), given);
        assert_eq!(headers(&given), [(TRACEPARENT, PARENT.to_owned()), (TRACESTATE, "a=1,b@v=2".to_owned())]);
    }

    #[test]
    fn no_state_sends_no_header_for_it() {
        let given = TraceContext::from_headers(&[PARENT], &[]).unwrap().unwrap();
        assert_eq!(headers(&given), [(TRACEPARENT, PARENT.to_owned())]);
    }

    #[test]
    fn a_member_that_the_sdk_refuses_costs_only_that_member() {
        let given = TraceContext::from_headers(&[PARENT], &["x=1,a@b@c=2,y=3"]).unwrap().unwrap();
        let kept = trace_context(&remote_span_context(&given));
        assert_eq!((kept.traceparent().as_str(), kept.state.as_str()), (PARENT, "x=1,y=3"));
    }
}
