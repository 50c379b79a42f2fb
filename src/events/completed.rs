//! `scenario.run.completed`: the one outcome of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::schema::Timestamp;
use super::{Cost, MessageRole, RunIds, RunMessage, TargetRef, TelemetryReceipt, ToolCall};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    /// Every criterion was met.
    Success,
    /// The run was judged and did not pass.
    Failed,
    /// The run could not be judged.
    Error,
    /// Somebody cancelled it.
    Cancelled,
}

/// What the judgement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every criterion is met.
    Success,
    /// At least one criterion is unmet.
    Failure,
    /// None is unmet, and at least one could not be decided.
    Inconclusive,
}

/// What the judge says of one criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CriterionStatus {
    /// The conversation shows that it holds.
    Met,
    /// The conversation shows that it does not hold, or the judge left it out.
    Unmet,
    /// The conversation does not show it either way.
    Inconclusive,
}

/// One criterion with its judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CriterionResult {
    /// `c1`, `c2`, … in the definition's order.
    pub id: String,
    /// The criterion as the definition words it.
    pub text: String,
    /// The judgement.
    pub status: CriterionStatus,
    /// Why, in the judge's words.
    pub reasoning: String,
    /// Who decided it.
    #[serde(default, skip_serializing_if = "DecidedBy::is_judge")]
    pub decided_by: DecidedBy,
    /// What the judge rests it on, each found in the transcript.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Quote>,
    /// How many judges agree with the status, where several judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// What each judge said, where several judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Vote>,
}

impl CriterionResult {
    /// The texts of those that are met, or of those that are not, in their order.
    #[must_use]
    pub fn texts(results: &[Self], met: bool) -> Vec<String> {
        let wanted = results.iter().filter(|result| (result.status == CriterionStatus::Met) == met);
        wanted.map(|result| result.text.clone()).collect()
    }

    /// A result that rests on nothing but its reasoning.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        text: impl Into<String>,
        status: CriterionStatus,
        reasoning: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            text: text.into(),
            status,
            reasoning: reasoning.into(),
            decided_by: DecidedBy::Judge,
            evidence: Vec::new(),
            agreement: None,
            votes: Vec::new(),
        }
    }
}

/// Who decided a criterion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecidedBy {
    /// A model, or several.
    #[default]
    Judge,
    /// A deterministic check.
    Check,
}

impl DecidedBy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
    fn is_judge(&self) -> bool {
        *self == Self::Judge
    }
}

/// Words of the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The message in which they stand, from 0.
    pub index: u32,
    /// The words.
    pub quote: String,
}

/// How many of the judges agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Those that came to the status.
    pub agreeing: u32,
    /// All of them.
    pub judges: u32,
}

/// What one of several judges said of a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vote {
    /// The model, as `provider/model`.
    pub model: String,
    /// Its judgement.
    pub status: CriterionStatus,
    /// Why, in its words.
    pub reasoning: String,
}

/// Who a failure is put down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// The agent under test.
    Target,
    /// The simulated customer.
    UserSimulator,
    /// The judge.
    Judge,
    /// The service behind a model.
    ModelProvider,
    /// A definition that cannot work.
    Definition,
    /// This program or what it runs on.
    Worker,
    /// A limit on cost or tokens.
    Budget,
}

/// Why a run could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// Stable code for programs.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Who it is put down to.
    pub attributed_to: Attribution,
}

/// Tokens and calls of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenUsage {
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens that came back.
    pub output_tokens: u64,
    /// Calls made.
    pub calls: u64,
    /// What the calls cost, where the prices of their models are known.
    #[serde(default, rename = "costUsd", skip_serializing_if = "Cost::is_zero")]
    pub cost: Cost,
    /// Calls of models that did not say how many tokens they used.
    #[serde(default, rename = "callsWithoutTokens", skip_serializing_if = "is_zero")]
    pub unreported: u64,
    /// Calls of models whose price is not known.
    #[serde(default, rename = "callsWithoutPrice", skip_serializing_if = "is_zero")]
    pub unpriced: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl TokenUsage {
    /// All tokens, sent and received.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Adds the usage of one more call or of another role.
    pub fn add(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.calls += other.calls;
        self.cost = self.cost.plus(other.cost);
        self.unreported += other.unreported;
        self.unpriced += other.unpriced;
    }
}

/// Usage of a run by role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageByRole {
    /// The simulated customer.
    pub user_simulator: TokenUsage,
    /// The agent under test: calls of any target; tokens where it reports them.
    pub target: TokenUsage,
    /// The judge.
    pub judge: TokenUsage,
}

impl UsageByRole {
    /// Everybody's together.
    #[must_use]
    pub fn total(&self) -> TokenUsage {
        let mut total = self.user_simulator;
        total.add(self.target);
        total.add(self.judge);
        total
    }
}

/// One message of the transcript, as the outcome repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptMessage {
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
    /// Tools that only the agent's own spans tell of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace_tool_calls: Vec<ToolCall>,
    /// How long the agent took for it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

impl From<RunMessage> for TranscriptMessage {
    /// What the message's own event says of it.
    fn from(message: RunMessage) -> Self {
        let RunMessage { index, turn, role, content, tool_calls, latency_ms, .. } = message;
        Self { index, turn, role, content, tool_calls, trace_tool_calls: Vec::new(), latency_ms }
    }
}

/// The payload of `scenario.run.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunCompleted {
    /// Which run it is about.
    #[serde(flatten)]
    pub ids: RunIds,
    /// The agent under test.
    pub target: TargetRef,
    /// How it ended.
    pub status: RunStatus,
    /// True for `SUCCESS` only.
    pub success: bool,
    /// The judgement; null if the run was not judged.
    pub verdict: Option<Verdict>,
    /// Why, in a sentence or a few.
    pub reasoning: String,
    /// Every criterion with its judgement, in the definition's order.
    pub criteria: Vec<CriterionResult>,
    /// Texts of the criteria that were met.
    pub met_criteria: Vec<String>,
    /// Texts of the criteria that were not, inconclusive ones included.
    pub unmet_criteria: Vec<String>,
    /// Set for `ERROR` only.
    pub error: Option<RunError>,
    /// Turns begun.
    pub turns: u32,
    /// Deliveries that executed something.
    pub attempts: u32,
    /// The transcript; absent where the payload would not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<TranscriptMessage>>,
    /// True where the transcript was left out for its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub messages_truncated: bool,
    /// True where the agent may have called tools that are not in the transcript, because it does not report them, or
    /// more of them than are taken in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool_calls_unknown: bool,
    /// Tokens and calls by role.
    pub usage: UsageByRole,
    /// Tokens and calls of all roles together.
    #[serde(default)]
    pub usage_total: TokenUsage,
    /// What became of the spans.
    pub telemetry: TelemetryReceipt,
    /// When the run began.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "Timestamp")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "Timestamp")]
    pub finished_at: OffsetDateTime,
    /// The time between, in milliseconds.
    pub duration_ms: u64,
}
