//! From a delivery to a request that may run, or the reason why it never can.

use std::sync::Arc;

use crate::events::{RequestIdentity, RequestPayload, RequestRejection, RunRequest, SetId, TraceContext};
use crate::queue::Delivery;
use crate::telemetry::metrics::Metrics;

/// Reads the request of a delivery.
///
/// # Errors
/// The reason and code that the dead letter will carry.
pub(super) fn read(
    delivery: &Delivery,
    default_set: &SetId,
    metrics: &Metrics,
) -> Result<Arc<RunRequest>, RequestRejection> {
    let payload = RequestPayload::decode(delivery.payload())?;
    let stored_as = delivery.stored_as();
    let identity = RequestIdentity {
        subject: delivery.subject(),
        message_id: delivery.message_id(),
        stored_as: &stored_as,
        trace_context: trace_context(delivery, metrics),
    };
    payload.resolve(identity, default_set).map(Arc::new)
}

/// A doubtful trace context is ignored, never guessed at: the run simply has no link.
fn trace_context(delivery: &Delivery, metrics: &Metrics) -> Option<TraceContext> {
    delivery.trace_context().unwrap_or_else(|error| {
        metrics.invalid_trace_context();
        tracing::info!(stream_sequence = delivery.stream_sequence(), %error, "the request's trace context is ignored");
        None
    })
}
