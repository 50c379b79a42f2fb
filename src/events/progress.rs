//! `scenario.run.started` and `scenario.run.message`: what a run says on its way.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{BatchRunId, ProjectId, RunId, RunKey, ScenarioId, SetId, TargetRef};

/// Which run an event is about: the ids that every event begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunIds {
    /// The run.
    pub scenario_run_id: RunId,
    /// Its project.
    pub project_id: ProjectId,
    /// The scenario that is played.
    pub scenario_id: ScenarioId,
    /// The batch.
    pub batch_run_id: BatchRunId,
    /// The set.
    pub set_id: SetId,
}

impl RunIds {
    /// Project and run id.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey { project: self.project_id.clone(), run: self.scenario_run_id.clone() }
    }
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The simulated customer.
    User,
    /// The agent under test.
    Assistant,
    /// A tool that the agent called.
    Tool,
}

impl MessageRole {
    /// The role as it travels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A tool call of the agent under test, or of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, where the agent gives one.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// A scenario as events name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioSummary {
    /// The scenario's name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The situation as it is played; cut where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<String>,
}

/// The payload of `scenario.run.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStarted {
    /// Which run it is about.
    #[serde(flatten)]
    pub ids: RunIds,
    /// The agent under test.
    pub target: TargetRef,
    /// Name and labels of the scenario.
    pub scenario: ScenarioSummary,
    /// The values of the parameters that the scenario declares, secret ones left out.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Which delivery this is, from 1.
    pub attempt: u32,
    /// The run's trace.
    pub trace_id: String,
    /// When the run began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
}

/// The payload of `scenario.run.message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunMessage {
    /// Which run it is about.
    #[serde(flatten)]
    pub ids: RunIds,
    /// Position in the transcript, from 0.
    pub index: u32,
    /// Turn, from 1.
    pub turn: u32,
    /// Who said it.
    pub role: MessageRole,
    /// What was said.
    pub content: String,
    /// Tools that the agent called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// How long the agent took for it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The run's trace.
    pub trace_id: String,
    /// When it was said.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}
