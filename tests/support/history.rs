//! Runs that are over, made up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use scenario_worker::events::{ProjectId, RunCompleted, RunId, RunKey};
use scenario_worker::execution::history::RunRecord;
use serde_json::{Value, json};

/// The outcome of a run that failed, with `more` in place of what it says.
pub(crate) fn outcome(project: &str, run: &str, more: &Value) -> Value {
    let usage = json!({ "inputTokens": 10, "outputTokens": 5, "calls": 1, "costUsd": 0.25 });
    let mut outcome = json!({
        "scenarioRunId": run, "projectId": project, "scenarioId": "refund", "batchRunId": "b-1", "setId": "default",
        "target": { "type": "http", "referenceId": "shop" }, "status": "FAILED", "success": false,
        "verdict": "failure", "reasoning": "One is not met.",
        "criteria": [
            { "id": "c1", "text": "It greets", "status": "met", "reasoning": "It said hello.",
              "evidence": [{ "index": 1, "quote": "Hello" }] },
            { "id": "c2", "text": "It apologises\nat once", "status": "unmet", "reasoning": "It never did." },
        ],
        "metCriteria": ["It greets"], "unmetCriteria": ["It apologises\nat once"], "error": null,
        "turns": 2, "attempts": 1,
        "messages": [
            { "index": 0, "turn": 1, "role": "user", "content": "My mug broke." },
            { "index": 1, "turn": 1, "role": "assistant", "content": "Hello \u{1b}[2J!", "latencyMs": 1200,
              "toolCalls": [{ "id": "t", "name": "find_order", "arguments": { "number": 7 } }] },
        ],
        "usage": { "userSimulator": usage, "target": { "inputTokens": 0, "outputTokens": 0, "calls": 2 }, "judge": usage },
        "usageTotal": { "inputTokens": 20, "outputTokens": 10, "calls": 4, "costUsd": 0.5 },
        "telemetry": { "traceId": "0af7651916cd43dd8448eb211c80319c", "spans": 9, "exported": 7, "undelivered": 2,
            "error": "the endpoint is away" },
        "startedAt": "2026-02-10T12:00:00Z", "finishedAt": "2026-02-10T12:00:04.5Z", "durationMs": 4500,
    });
    outcome.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    outcome
}

/// The same as it is written down.
pub(crate) fn record(project: &str, run: &str, more: &Value) -> RunRecord {
    let document = outcome(project, run, more).to_string();
    let outcome: RunCompleted = serde_json::from_str(&document).unwrap();
    RunRecord { outcome, document }
}

/// Which run.
pub(crate) fn key(project: &str, run: &str) -> RunKey {
    RunKey { project: ProjectId::parse(project).unwrap(), run: RunId::parse(run).unwrap() }
}
