//! Between the trace context of the wire contract and the one of the OpenTelemetry SDK.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::events::TraceContext;

/// Name of the header that carries trace and span id (W3C Trace Context, section 3.2).
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header that carries vendors' additions (W3C Trace Context, section 3.3).
pub const TRACESTATE: &str = "tracestate";

/// The span context of somebody else's span, without its state: the SDK does not take every key that is valid, so the state
/// travels beside it, as its text.
#[must_use]
pub fn remote_span_context(context: &TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        true,
        TraceState::default(),
    )
}

/// The trace context that tells a callee about a span of ours, whose trace has this `state`.
#[must_use]
pub fn trace_context(context: &SpanContext, state: &str) -> TraceContext {
    TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
        state: state.to_owned(),
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
    fn a_context_survives_the_sdk_with_every_member_of_its_state() {
        // The SDK takes one `@` in a key at most; the specification takes any number.
        const STATE: &str = "a=1,b@v=2,a@@b=3,x@y@z=4";
        let given = TraceContext::from_headers(&[PARENT], &[STATE]).unwrap().unwrap();
        let span_context = remote_span_context(&given);
        assert!(span_context.is_remote() && span_context.is_sampled());
        assert_eq!(trace_context(&span_context, &given.state), given);
        assert_eq!(headers(&given), [(TRACEPARENT, PARENT.to_owned()), (TRACESTATE, STATE.to_owned())]);
    }

    #[test]
    fn no_state_sends_no_header_for_it() {
        let given = TraceContext::from_headers(&[PARENT], &[]).unwrap().unwrap();
        assert_eq!(headers(&given), [(TRACEPARENT, PARENT.to_owned())]);
    }
}
