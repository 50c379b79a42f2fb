//! The operations: what the worker receives, answers and sends.

use serde_json::{Value, json};

use super::channels::{payload_of, stored_key};
use super::reference;
use crate::events::schema;
use crate::events::subjects::EventKind;

/// The queue group of the service: of all workers one answers (NATS micro, ADR-32).
const SERVICE_QUEUE: &str = "q";

/// Every operation by its key.
pub(super) fn all() -> Value {
    let received = [
        ("requested", schema::RUN_REQUESTED),
        ("requested_of_project", schema::RUN_REQUESTED),
        ("cancel_requested", schema::CANCEL_REQUESTED),
        ("cancel_requested_of_project", schema::CANCEL_REQUESTED),
    ];
    let receive = |(channel, message): (&str, &str)| {
        (format!("receive_{channel}"), operation("receive", channel, &[message]))
    };
    let sent = EventKind::ALL.map(|kind| {
        (format!("send_{}", kind.as_str()), operation("send", &stored_key(kind), payload_of(kind)))
    });
    let repeated = EventKind::ALL.map(|kind| {
        (format!("repeat_{}", kind.as_str()), operation("send", kind.as_str(), payload_of(kind)))
    });
    let letter = operation("send", "dead_lettered", &[schema::RUN_DEAD_LETTERED]);
    let operations = received.into_iter().map(receive).chain(sent).chain(repeated);
    let operations = operations.chain([("send_dead_lettered".to_owned(), letter)]).chain(answered());
    Value::Object(operations.collect())
}

fn answered() -> [(String, Value); 3] {
    let calls = [
        ("schedule", schema::RUN_REQUESTED, schema::SCHEDULE_REPLY),
        ("cancel", schema::CANCEL_REQUESTED, schema::CANCEL_REPLY),
        ("status", schema::STATUS_REQUEST, schema::STATUS_REPLY),
    ];
    calls.map(|(call, question, answer)| {
        let mut written = operation("receive", call, &[question]);
        let place = format!("{call}_reply");
        let answers =
            [answer, schema::ERROR_REPLY].map(|name| reference(&["channels", &place, "messages", name]));
        written["reply"] = json!({ "channel": reference(&["channels", &place]), "messages": answers });
        written["bindings"] = json!({ "nats": { "queue": SERVICE_QUEUE } });
        (call.to_owned(), written)
    })
}

fn operation(action: &str, channel: &str, messages: &[&str]) -> Value {
    let message = |name: &&str| reference(&["channels", channel, "messages", name]);
    json!({
        "action": action,
        "channel": reference(&["channels", channel]),
        "messages": messages.iter().map(message).collect::<Value>(),
    })
}
