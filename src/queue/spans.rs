//! The worker's spans of its messages, by OpenTelemetry's conventions for messaging.
//!
//! They belong to the worker's plane. A message's own `traceparent` is a run's business: they neither continue nor link to it.

use tracing::Span;
use tracing::field::Empty;

use super::{Delivery, SettleError};
use crate::events::subjects;
use crate::telemetry::worker::TRACES_ONLY;

/// NATS as conventions would name it; they have no name of their own for it.
const SYSTEM: &str = "nats";
/// Subjects of tenants without what is theirs.
const REQUESTED_TEMPLATE: &str = "scenario.run.requested.{projectId}";
const CANCEL_TEMPLATE: &str = "scenario.run.cancel_requested.{projectId}";

/// The work on one delivery by the consumer group `group`, from its arrival to its settlement.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one line an attribute, as a table")]
pub fn process(delivery: &Delivery, group: &str) -> Span {
    let template = template(delivery.subject());
    tracing::info_span!(
        target: TRACES_ONLY,
        parent: None,
        "process",
        otel.name = format!("process {template}"),
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
    )
}

/// Telling the server what became of a delivery.
pub(super) fn settle(verb: &'static str, delivery: &Delivery) -> Span {
    let template = template(delivery.subject());
    tracing::info_span!(
        target: TRACES_ONLY,
        "settle",
        otel.name = format!("{verb} {template}"),
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

/// The subject without what is different for each project.
fn template(subject: &str) -> &str {
    [(subjects::REQUESTED, REQUESTED_TEMPLATE), (subjects::CANCEL_REQUESTED, CANCEL_TEMPLATE)]
        .into_iter()
        .find(|(plain, _)| subject.strip_prefix(plain).is_some_and(|rest| rest.starts_with('.')))
        .map_or(subject, |(_, template)| template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_a_project_is_named_without_it() {
        assert_eq!(template("scenario.run.requested"), "scenario.run.requested");
        assert_eq!(template("scenario.run.requested.acme"), REQUESTED_TEMPLATE);
        assert_eq!(template("scenario.run.cancel_requested.acme"), CANCEL_TEMPLATE);
        assert_eq!(template("scenario.run.requested_not"), "scenario.run.requested_not");
    }
}
