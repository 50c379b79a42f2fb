//! The worker's spans of its messages, by OpenTelemetry's conventions for messaging.
//!
//! They belong to the worker's plane. A message's own `traceparent` is a run's business: they neither continue nor link to it.

use tracing::Span;
use tracing::field::Empty;

use super::{Delivery, SettleError};
use crate::events::subjects;
use crate::telemetry::worker::TRACES_ONLY;

/// Kinds of error of the work on a delivery: it could not be settled, and something that it needs does not answer.
pub const UNSETTLED: &str = "unsettled";
/// See [`UNSETTLED`].
pub const UNAVAILABLE: &str = "unavailable";

/// NATS as conventions would name it; they have no name of their own for it.
const SYSTEM: &str = "nats";

/// The work on one delivery by the consumer group `group`, from its arrival to its settlement, which becomes a part of it.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one line an attribute, as a table")]
pub fn process(delivery: &mut Delivery, group: &str) -> Span {
    let template = subjects::template(delivery.subject());
    let span = tracing::info_span!(
        target: TRACES_ONLY,
        parent: None,
        "process",
        otel.name = name("process", template),
        otel.kind = "consumer",
        otel.status_code = Empty,
        "error.type" = Empty,
        "messaging.system" = SYSTEM,
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = delivery.subject(),
        "messaging.destination.template" = template,
        "messaging.destination.subscription.name" = group,
        "messaging.consumer.group.name" = group,
        "messaging.message.id" = delivery.message_id(),
        "messaging.message.body.size" = number(delivery.payload().len()),
        "nats.stream.sequence" = number(delivery.stream_sequence()),
        "nats.deliveries" = number(delivery.deliveries()),
    );
    delivery.processed_in(&span);
    span
}

/// Telling the server what became of a delivery. What nobody processed is settled for itself.
pub(super) fn settle(verb: &'static str, delivery: &Delivery) -> Span {
    let template = subjects::template(delivery.subject());
    tracing::info_span!(
        target: TRACES_ONLY,
        parent: delivery.processing().id(),
        "settle",
        otel.name = name(verb, template),
        otel.kind = "client",
        otel.status_code = Empty,
        "error.type" = Empty,
        "messaging.system" = SYSTEM,
        "messaging.operation.name" = verb,
        "messaging.operation.type" = "settle",
        "messaging.destination.name" = delivery.subject(),
        "messaging.destination.template" = template,
        "messaging.message.id" = delivery.message_id(),
        "nats.stream.sequence" = number(delivery.stream_sequence()),
    )
}

/// A subject that nobody knows may have ids in it, and a span's name has none.
fn name(verb: &str, template: Option<&str>) -> String {
    template.map_or_else(|| verb.to_owned(), |template| format!("{verb} {template}"))
}

/// The work of `span` went wrong, for a kind of reason from a closed set.
pub fn failed(span: &Span, kind: &'static str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

pub(super) fn settled(span: &Span, result: &Result<(), SettleError>) {
    match result {
        Ok(()) => {}
        Err(SettleError::LeaseOver { .. }) => failed(span, "lease_over"),
        Err(SettleError::Unconfirmed { .. }) => failed(span, "unconfirmed"),
    }
}

/// OpenTelemetry's numbers have a sign; any other arrives as text.
fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
