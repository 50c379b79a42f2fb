//! What the platform's ingest route takes, field by field.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Fields of every event.
const BASE: [&str; 6] = ["type", "timestamp", "batchRunId", "scenarioId", "scenarioRunId", "scenarioSetId"];
/// The most bytes of a message's text before the platform replaces it.
const MOST_KEPT: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only the form matters")]
struct Base {
    timestamp: i64,
    batch_run_id: String,
    scenario_id: String,
    scenario_run_id: String,
    scenario_set_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    target_reference_id: String,
    target_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    id: String,
    role: String,
    content: String,
    trace_id: String,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the form matters")]
struct ToolCall {
    id: String,
    r#type: String,
    function: Function,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the form matters")]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only the form matters")]
struct Results {
    verdict: String,
    reasoning: Option<String>,
    met_criteria: Vec<String>,
    unmet_criteria: Vec<String>,
    error: Option<String>,
}

/// The event, if it is one.
pub(super) fn read(body: &[u8]) -> Result<Value, String> {
    let event: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fields = event.as_object().ok_or("it is no object")?;
    let base: Base = form("event", &event)?;
    if base.timestamp < 1_600_000_000_000 {
        return Err(format!("the timestamp {} is not in milliseconds of now", base.timestamp));
    }
    match event["type"].as_str() {
        Some("SCENARIO_RUN_STARTED") => started(fields),
        Some("SCENARIO_MESSAGE_SNAPSHOT") => snapshot(fields),
        Some("SCENARIO_RUN_FINISHED") => finished(fields),
        other => Err(format!("there is no type {other:?}")),
    }?;
    Ok(event)
}

fn form<T: for<'de> Deserialize<'de>>(what: &str, value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("{what}: {error} in {value}"))
}

fn only(fields: &Map<String, Value>, own: &[&str]) -> Result<(), String> {
    match fields.keys().find(|key| !BASE.contains(&key.as_str()) && !own.contains(&key.as_str())) {
        Some(unknown) => Err(format!("there is no field {unknown}")),
        None => Ok(()),
    }
}

fn one_of(what: &str, value: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&value) { Ok(()) } else { Err(format!("there is no {what} {value}")) }
}

fn started(fields: &Map<String, Value>) -> Result<(), String> {
    only(fields, &["metadata"])?;
    let metadata = fields.get("metadata").and_then(Value::as_object).ok_or("no metadata")?;
    for key in ["name", "description"] {
        if metadata.get(key).is_some_and(|value| !value.is_string()) {
            return Err(format!("{key} is no text"));
        }
    }
    let target: Target = form("langwatch", metadata.get("langwatch").ok_or("no target")?)?;
    if target.target_reference_id.is_empty() {
        return Err("the target has no id".to_owned());
    }
    one_of("target type", &target.target_type, &["prompt", "http", "code", "workflow"])
}

fn snapshot(fields: &Map<String, Value>) -> Result<(), String> {
    only(fields, &["messages"])?;
    let messages: Vec<Message> = form("messages", fields.get("messages").unwrap_or(&Value::Null))?;
    for message in &messages {
        one_of("role", &message.role, &["user", "assistant", "tool", "system"])?;
        let is_hex = message.trace_id.len() == 32 && message.trace_id.bytes().all(|b| b.is_ascii_hexdigit());
        let calls = message.tool_calls.iter().all(|call| !call.id.is_empty() && call.r#type == "function");
        if !is_hex || !calls || message.id.is_empty() || message.content.len() > MOST_KEPT {
            return Err(format!("the message {} is not as it has to be", message.id));
        }
    }
    let mut ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() == messages.len() { Ok(()) } else { Err("two messages have one id".to_owned()) }
}

fn finished(fields: &Map<String, Value>) -> Result<(), String> {
    only(fields, &["status", "results"])?;
    let status = fields.get("status").and_then(Value::as_str).unwrap_or_default();
    one_of("status", status, &["SUCCESS", "FAILED", "ERROR", "CANCELLED"])?;
    let results: Results = form("results", fields.get("results").unwrap_or(&Value::Null))?;
    one_of("verdict", &results.verdict, &["success", "failure", "inconclusive"])
}
