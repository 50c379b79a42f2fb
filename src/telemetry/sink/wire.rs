//! The wire format of LangWatch's `POST /api/scenario-events`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::events::{MessageRole, RunIds, RunStatus, TargetRef, Verdict};

/// Types of targets that the platform knows by their own names. Whatever else there is, is reached over HTTP.
const KNOWN_TARGETS: [&str; 4] = [HTTP, "prompt", "code", "workflow"];
const HTTP: &str = "http";

/// One event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) batch_run_id: &'a str,
    pub(super) scenario_id: &'a str,
    pub(super) scenario_run_id: &'a str,
    pub(super) scenario_set_id: &'a str,
    #[serde(flatten)]
    pub(super) content: Content<'a>,
}

/// What is in it besides.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Started { metadata: Metadata<'a> },
    Messages { messages: Vec<Message> },
    Finished { status: RunStatus, results: Results<'a> },
}

impl Content<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "SCENARIO_RUN_STARTED",
            Self::Messages { .. } => "SCENARIO_MESSAGE_SNAPSHOT",
            Self::Finished { .. } => "SCENARIO_RUN_FINISHED",
        }
    }
}

impl<'a> Event<'a> {
    pub(super) fn new(ids: &'a RunIds, timestamp: i64, content: Content<'a>) -> Self {
        Self {
            kind: content.kind(),
            timestamp,
            batch_run_id: ids.batch_run_id.as_str(),
            scenario_id: ids.scenario_id.as_str(),
            scenario_run_id: ids.scenario_run_id.as_str(),
            scenario_set_id: ids.set_id.as_str(),
            content,
        }
    }
}

/// What is known of a run when it begins. Only `langwatch` has a fixed form.
#[derive(Debug, Serialize)]
pub(super) struct Metadata<'a> {
    pub(super) langwatch: Target<'a>,
    /// The target as it was asked for.
    pub(super) target: &'a TargetRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) labels: &'a [String],
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
}

/// The agent under test, in the platform's terms.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target<'a> {
    target_reference_id: &'a str,
    target_type: &'a str,
}

impl<'a> From<&'a TargetRef> for Target<'a> {
    fn from(target: &'a TargetRef) -> Self {
        let kind = target.kind.as_str();
        let target_type = if KNOWN_TARGETS.contains(&kind) { kind } else { HTTP };
        Self { target_reference_id: target.reference_id.as_str(), target_type }
    }
}

/// A message of the conversation.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) role: MessageRole,
    pub(super) content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Serialize)]
pub(super) struct ToolCall {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: Function,
}

/// What is called.
#[derive(Debug, Serialize)]
pub(super) struct Function {
    pub(super) name: String,
    /// JSON as text.
    pub(super) arguments: String,
}

/// What came of the run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Results<'a> {
    pub(super) verdict: Verdict,
    pub(super) reasoning: &'a str,
    pub(super) met_criteria: &'a [String],
    pub(super) unmet_criteria: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}
