//! The conversation: everything that a run has to remember to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Ballots, Brief, Ending, FormKind, Report, Session, SpanCounts, TargetReport, TargetReports};
use crate::events::{CriterionResult, MessageRole, ToolCall, TraceContext, TranscriptMessage, UsageByRole};

/// One message of the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Turn, from 1.
    pub turn: u32,
    /// Who said it.
    pub role: MessageRole,
    /// What was said.
    pub content: String,
    /// Tools that the agent called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// When it was said.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// How long the agent took for it, in milliseconds; `None` for what nobody was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// Whose move it is, in the order of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The simulated customer speaks.
    #[default]
    UserSimulator,
    /// The agent under test answers.
    Target,
    /// The judge decides whether to go on.
    Judge,
    /// The judge decided that there is enough, and gives the verdict.
    Verdict,
}

/// Where a script stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptPosition {
    /// The step that is played, from 0.
    pub step: usize,
    /// Turns that it still may take, once it has begun and if it has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns_left: Option<u32>,
}

/// A turn of the target that takes more than one call, and is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// How much was said when it began.
    pub messages: usize,
    /// What the target wants to be given back.
    pub state: Value,
    /// How long its calls took so far.
    pub latency: Duration,
    /// How long its first words took, where they came bit by bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_chunk: Option<Duration>,
}

/// A conversation in progress. It is what a checkpoint stores, so a run can go on from it anywhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// When the run began, on whichever worker.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// What is rehearsed, once it is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Box<Brief>>,
    /// The run's trace, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The root's context, where the request brought one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_context: Option<TraceContext>,
    /// The world knows that the run began.
    #[serde(default)]
    pub started: bool,
    /// The transcript; a message's index is its position.
    pub messages: Vec<Message>,
    /// The agent may have called tools that are not in the transcript, because its replies do not tell of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool_calls_unknown: bool,
    /// What the agent reports of its replies by spans of its own.
    #[serde(default, skip_serializing_if = "TargetReports::is_empty")]
    pub reports: TargetReports,
    /// Turns begun.
    pub turn: u32,
    /// Whose move it is; the customer's is the first of a turn that has not begun.
    pub next: Step,
    /// Where the scenario's script stands.
    #[serde(default)]
    pub script: ScriptPosition,
    /// What steps of the script were found to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<CriterionResult>,
    /// A call of the target has begun whose end is not recorded; kept only for targets that must not be called twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub target_call_open: bool,
    /// The target's turn that is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_turn: Option<Box<OpenTurn>>,
    /// The session that the target has begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Tokens and calls so far.
    pub usage: UsageByRole,
    /// Calls that are on the run's cassette, by who made them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub taped: BTreeMap<String, u32>,
    /// Spans so far.
    #[serde(default)]
    pub spans: SpanCounts,
    /// How each judge's model is brought to an answer, by the model's name; those are left out that call tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answer_forms: BTreeMap<String, FormKind>,
    /// What a panel has answered in the round that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballots: Option<Box<Ballots>>,
    /// How the run ended: all that is left is to report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What is reported with the ending: all that is left is to publish it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

impl Conversation {
    /// The transcript as the outcome repeats it.
    #[must_use]
    pub fn transcript(&self) -> Vec<TranscriptMessage> {
        let told = |(index, message): (u32, &Message)| {
            let report = self.reports.get(&index);
            let trace_tool_calls = report.map(|report| report.tool_calls_beyond(&message.tool_calls));
            let trace_tool_calls = trace_tool_calls.unwrap_or_default();
            TranscriptMessage { trace_tool_calls, ..message.at_index(index) }
        };
        (0..).zip(&self.messages).map(told).collect()
    }

    /// Whether the agent may have called tools that neither its replies nor its spans tell of.
    #[must_use]
    pub fn may_lack_tool_calls(&self) -> bool {
        self.tool_calls_unknown || self.reports.values().any(TargetReport::tool_calls_unknown)
    }

    /// Calls of tools that the agent tells of and that are too many to be known.
    #[must_use]
    pub fn tool_calls_left_out(&self) -> u64 {
        self.reports.values().map(TargetReport::tool_calls_left_out).sum()
    }
}

impl From<TranscriptMessage> for Message {
    /// The message as the outcome repeats it, but for the time at which it was said.
    fn from(message: TranscriptMessage) -> Self {
        let TranscriptMessage { turn, role, content, mut tool_calls, trace_tool_calls, latency_ms, .. } =
            message;
        tool_calls.extend(trace_tool_calls);
        Self { turn, role, content, tool_calls, at: OffsetDateTime::UNIX_EPOCH, latency_ms }
    }
}

impl Message {
    /// The message as the outcome repeats it.
    #[must_use]
    pub fn at_index(&self, index: u32) -> TranscriptMessage {
        TranscriptMessage {
            index,
            turn: self.turn,
            role: self.role,
            content: self.content.clone(),
            tool_calls: self.tool_calls.clone(),
            trace_tool_calls: Vec::new(),
            latency_ms: self.latency_ms,
        }
    }
}
