//! Events for the tests of what is shown.

use serde_json::{Value, json};

use crate::events::RunCompleted;
use crate::queue::feed::Event;

fn ids(run: &str) -> Value {
    json!({ "projectId": "p", "scenarioId": "s", "scenarioRunId": run, "batchRunId": "b", "setId": "d" })
}

fn with_ids(run: &str, mut more: Value) -> Value {
    if let (Some(more), Value::Object(ids)) = (more.as_object_mut(), ids(run)) {
        more.extend(ids);
    }
    more
}

/// Something that the agent said.
pub(super) fn message(run: &str, content: &str) -> Event {
    let message = json!({
        "index": 1, "turn": 1, "traceId": "t", "role": "assistant", "content": content, "at": "2026-01-01T00:00:00Z",
    });
    Event::Message(Box::new(serde_json::from_value(with_ids(run, message)).unwrap()))
}

/// An outcome of 1.5 s for a cent, with one criterion that is met and one that is not unless the run passed.
#[expect(clippy::too_many_lines, reason = "one value, as it travels")]
pub(super) fn outcome(run: &str, status: &str) -> RunCompleted {
    let passed = status == "SUCCESS";
    let second = if passed { "met" } else { "unmet" };
    let usage = json!({ "inputTokens": 100, "outputTokens": 20, "calls": 2, "costUsd": 0.005 });
    let outcome = json!({
        "target": { "type": "http", "referenceId": "shop" },
        "status": status, "success": passed, "verdict": null, "reasoning": "So it was.",
        "criteria": [
            { "id": "c1", "text": "It greets", "status": "met", "reasoning": "It says hello." },
            { "id": "c2", "text": "It refunds", "status": second, "reasoning": "Nobody speaks of money." },
        ],
        "metCriteria": [], "unmetCriteria": [], "turns": 1, "attempts": 1,
        "error": (status == "ERROR").then(|| json!({ "code": "http_status", "message": "HTTP 500", "attributedTo": "target" })),
        "messages": [
            { "index": 0, "turn": 1, "role": "user", "content": "my mug broke" },
            { "index": 1, "turn": 1, "role": "assistant", "content": "I am sorry", "latencyMs": 412,
              "toolCalls": [{ "id": "t1", "name": "find_order", "arguments": { "number": 7 } }] },
        ],
        "usage": { "userSimulator": usage, "target": { "inputTokens": 0, "outputTokens": 0, "calls": 1 }, "judge": usage },
        "usageTotal": { "inputTokens": 200, "outputTokens": 40, "calls": 5, "costUsd": 0.01 },
        "telemetry": { "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spans": 9, "exported": 9, "error": null },
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01.5Z", "durationMs": 1500,
    });
    serde_json::from_value(with_ids(run, outcome)).unwrap()
}
