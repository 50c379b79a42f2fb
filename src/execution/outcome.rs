//! What a run came to, as the one event that says so.

use super::failure::RunFailure;
use super::types::{Conversation, Ending, Judgement, Report};
use crate::events::{CriterionResult, RunCompleted, RunError, RunRequest, RunStatus, Verdict};

/// Wording of a cancel that arrived while the run was under way.
pub(super) const CANCELLED_BY_USER: &str = "Cancelled by user";
/// Wording of a cancel that arrived before the run began.
pub(super) const CANCELLED_BEFORE_START: &str = "Cancelled before execution started";

/// Everything of an outcome that is not its ending.
#[derive(Debug, Clone)]
pub(super) struct Circumstances<'a> {
    /// What was asked for.
    pub(super) request: &'a RunRequest,
    /// What was said.
    pub(super) conversation: &'a Conversation,
    /// Deliveries that executed something.
    pub(super) attempts: u32,
    /// What became of the spans, and when the run ended.
    pub(super) report: Report,
}

/// The parts of an outcome that the ending alone decides.
struct Decided {
    status: RunStatus,
    verdict: Option<Verdict>,
    reasoning: String,
    criteria: Vec<CriterionResult>,
    error: Option<RunError>,
}

impl From<Ending> for Decided {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Judged(judgement) => judgement.into(),
            Ending::Failed(failure) => failure.into(),
            Ending::Cancelled(wording) => Self {
                status: RunStatus::Cancelled,
                verdict: Some(Verdict::Inconclusive),
                reasoning: wording,
                criteria: Vec::new(),
                error: None,
            },
        }
    }
}

impl From<Judgement> for Decided {
    fn from(Judgement { verdict, reasoning, criteria }: Judgement) -> Self {
        let status = if verdict == Verdict::Success { RunStatus::Success } else { RunStatus::Failed };
        Self { status, verdict: Some(verdict), reasoning, criteria, error: None }
    }
}

impl From<RunFailure> for Decided {
    fn from(failure: RunFailure) -> Self {
        let error = failure.to_error();
        Self {
            status: RunStatus::Error,
            verdict: None,
            reasoning: error.message.clone(),
            criteria: Vec::new(),
            error: Some(error),
        }
    }
}

/// Puts the outcome together.
#[expect(clippy::too_many_lines, reason = "one line a field of the event")]
pub(super) fn assemble(ending: Ending, around: Circumstances<'_>) -> RunCompleted {
    let Circumstances { request, conversation, attempts, report: Report { telemetry, finished_at } } = around;
    let started_at = conversation.started_at.unwrap_or(finished_at);
    let Decided { status, verdict, reasoning, criteria, error } = ending.into();
    let texts = |met| CriterionResult::texts(&criteria, met);
    RunCompleted {
        ids: request.ids(),
        target: request.target.clone(),
        status,
        success: status == RunStatus::Success,
        verdict,
        reasoning,
        met_criteria: texts(true),
        unmet_criteria: texts(false),
        criteria,
        error,
        turns: conversation.turn,
        attempts,
        messages: Some(conversation.transcript()),
        messages_truncated: false,
        tool_calls_unknown: conversation.may_lack_tool_calls(),
        usage: conversation.usage,
        usage_total: conversation.usage.total(),
        telemetry,
        started_at,
        finished_at,
        duration_ms: u64::try_from((finished_at - started_at).whole_milliseconds()).unwrap_or_default(),
    }
}
