//! The life of a run from request to outcome. It orchestrates only: every step is one call of a port.

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::failure::{PlanError, RunFailure};
use super::outcome::{CANCELLED_BEFORE_START, CANCELLED_BY_USER, Circumstances, assemble};
use super::planner::{Planner, RunPlan};
use super::ports::{Clock, JournalError, RunTrace, RunTracers, SessionCall, TraceNote};
use super::rejudging::Nobody;
use super::sessions;
use super::signals::StopReason;
use super::supervision::{Stage, Stopped, stopped, told_to_stop};
use super::types::{Conversation, Ending, Report, SpanCounts, SpanEnd, TraceSpec};
use crate::events::{
    DeliveryFailure, DeliveryFailureKind, RunCompleted, RunRequest, TelemetryReceipt, TraceContext,
};

pub use super::supervision::{CANCEL_GRACE, Interruption, LAST_JUDGEMENT, RunContext, TIMED_OUT};

/// Why not every span of a run is there that began and cannot go on.
const UNFINISHED_TRACE: &str = "the run could not go on, so its trace has no root";
/// Why a target cannot be made whose definitions do not come in time.
const STORE_SILENT: &str = "the store does not answer";
/// Code of a cancelled run's root span.
const CANCELLED: &str = "cancelled";

/// Plays runs to their end, wherever that is done.
#[async_trait]
pub trait Player: Send + Sync {
    /// Plays one run. Failures become outcomes; only what is not the run's own business interrupts it.
    async fn perform(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd;
}

/// How a run ended on this worker.
#[derive(Debug)]
pub enum RunEnd {
    /// It has an outcome.
    Outcome {
        /// The outcome.
        completed: Box<RunCompleted>,
        /// The trace context that its event carries, if the request brought one.
        context: Option<TraceContext>,
    },
    /// It goes on elsewhere or later.
    Interrupted {
        /// Why.
        why: Interruption,
        /// Spans so far, if it came to have a trace here.
        spans: Option<SpanCounts>,
    },
}

/// Plays runs.
#[derive(Clone)]
pub struct Orchestrator {
    /// Resolves requests.
    pub planner: Planner,
    /// Starts traces.
    pub tracers: Arc<dyn RunTracers>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Player for Orchestrator {
    async fn perform(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        self.run(request, context).await
    }
}

impl Orchestrator {
    /// Plays one run. Failures become outcomes; only what is not the run's own business interrupts it.
    pub async fn run(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        let began = self.clock.now();
        if let Some((said, end)) = context.resumed.clone().and_then(reported) {
            return conclude(request, &context, note_of(&said), said, end).await;
        }
        match self.prepare(request, &context).await {
            Ok(plan) => self.play(request, plan, context, began).await,
            Err(stopped) => self.leave(request, &context, stopped, began).await,
        }
    }

    /// Stops a run that nobody plays, or not any more, for `reason`; it keeps the ending that it had before.
    pub async fn stop(&self, request: &RunRequest, reason: StopReason, context: RunContext<'_>) -> RunEnd {
        let stopped = match &context.resumed {
            Some(said) => told_to_stop(said, reason),
            None => stopped(reason, CANCELLED_BEFORE_START),
        };
        self.leave(request, &context, stopped, self.clock.now()).await
    }

    /// Leaves a run that cannot be played now to whoever is next; one that had its ending before is over.
    pub async fn interrupt(
        &self,
        request: &RunRequest,
        why: Interruption,
        context: RunContext<'_>,
    ) -> RunEnd {
        self.leave(request, &context, Stopped::Interrupted(why), self.clock.now()).await
    }

    /// Ends a run that is not played any more: as `failure`, unless it had its ending before.
    pub async fn give_up(
        &self,
        request: &RunRequest,
        failure: RunFailure,
        context: RunContext<'_>,
    ) -> RunEnd {
        let stopped = Stopped::Ended(Ending::Failed(failure));
        self.leave(request, &context, stopped, self.clock.now()).await
    }

    async fn prepare(&self, request: &RunRequest, context: &RunContext<'_>) -> Result<RunPlan, Stopped> {
        let wording = if context.resumed.is_none() { CANCELLED_BEFORE_START } else { CANCELLED_BY_USER };
        tokio::select! {
            biased;
            reason = context.stopped_off_stage() => Err(stopped(reason, wording)),
            plan = self.planner.plan(request, context.resumed.as_ref()) => plan.map_err(unplanned),
        }
    }

    /// Ends a run that does not come to the stage here. One that had its ending before keeps it, and waits for nothing:
    /// its trace goes without a root.
    async fn leave(
        &self,
        request: &RunRequest,
        context: &RunContext<'_>,
        stopped: Stopped,
        began: OffsetDateTime,
    ) -> RunEnd {
        if let Some((said, end)) = context.resumed.clone().and_then(reported) {
            return conclude(request, context, note_of(&said), said, end).await;
        }
        let mut said = context.resumed.clone().unwrap_or_default();
        said.started_at.get_or_insert(began);
        let ending = match (said.ending.take(), stopped) {
            (Some(kept), Stopped::Ended(_) | Stopped::Interrupted(Interruption::Unavailable(_))) => kept,
            (None, Stopped::Ended(ending)) => ending,
            (_, Stopped::Interrupted(why)) => return RunEnd::Interrupted { why, spans: None },
        };
        Box::pin(self.end_session(request, &mut said)).await;
        let report = Report { telemetry: receipt_of(&said), finished_at: self.clock.now() };
        conclude(request, context, note_of(&said), said, (ending, report)).await
    }

    /// A session of a run that does not come to the stage any more is ended by a target that is made for just that.
    async fn end_session(&self, request: &RunRequest, said: &mut Conversation) {
        let Some(session) = said.session.take() else { return };
        let why = match tokio::time::timeout(CANCEL_GRACE, self.planner.plan(request, Some(said))).await {
            Ok(Ok(plan)) => {
                let call = SessionCall { run: &request.key, span: &Nobody::default() };
                return sessions::end(plan.target.as_ref(), call, session, plan.limits.session_end).await;
            }
            Ok(Err(PlanError::Failure(failure))) => failure.code,
            Ok(Err(PlanError::Unavailable(_))) | Err(_) => STORE_SILENT.into(),
        };
        tracing::warn!(run = %request.key, %why, "the session of a run is left open: its target cannot be made any more");
    }

    async fn play(
        &self,
        request: &Arc<RunRequest>,
        plan: RunPlan,
        context: RunContext<'_>,
        began: OffsetDateTime,
    ) -> RunEnd {
        let mut conversation = opened(&context, &plan, began);
        let trace = self.tracers.start(trace_spec(request, &plan, context.attempt, &conversation));
        expect_late_spans(&conversation, trace.as_ref());
        let (note, clock) = (trace_note(request, trace.as_ref()), self.clock.as_ref());
        conversation.trace_id = Some(note.trace_id.clone());
        conversation.trace_context.clone_from(&note.context);
        let stage =
            Stage { request, plan: &plan, trace: trace.as_ref(), note: &note, context: &context, clock };
        let stopped = stage.supervise(&mut conversation).await;
        let ending = match stopped {
            Stopped::Ended(ending) => ending,
            Stopped::Interrupted(why) => {
                return RunEnd::Interrupted { why, spans: Some(trace.suspend().await) };
            }
        };
        let telemetry = trace.finish(span_end(&ending)).await;
        let report = Report { telemetry, finished_at: self.clock.now() };
        conclude(request, &context, note, conversation, (ending, report)).await
    }
}

/// The last word on a run: it is stored, so that whoever is refused says nothing and whoever takes over says the same;
/// then it is an outcome.
async fn conclude(
    request: &RunRequest,
    context: &RunContext<'_>,
    note: TraceNote,
    mut conversation: Conversation,
    (ending, report): (Ending, Report),
) -> RunEnd {
    conversation.ending = Some(ending.clone());
    conversation.report = Some(report.clone());
    let why = match context.journal.advanced(&conversation, &note).await {
        // What cannot be reported is stored all the same.
        Ok(()) | Err(JournalError::TooLarge { .. }) => {
            return outcome(request, context.attempt, &conversation, (ending, report), note.context);
        }
        Err(JournalError::LeaseLost(_)) => Interruption::LeaseLost,
        Err(JournalError::Unavailable(error)) => Interruption::Unavailable(error),
    };
    RunEnd::Interrupted { why, spans: None }
}

fn outcome(
    request: &RunRequest,
    attempts: u32,
    conversation: &Conversation,
    (ending, report): (Ending, Report),
    context: Option<TraceContext>,
) -> RunEnd {
    let around = Circumstances { request, conversation, attempts, report };
    RunEnd::Outcome { completed: Box::new(assemble(ending, around)), context }
}

/// The outcome of a run that was played elsewhere and stored up to its report; `None` if it was not.
#[must_use]
pub fn told(request: &RunRequest, attempt: u32, said: &Conversation) -> Option<RunEnd> {
    let end = said.ending.clone().zip(said.report.clone())?;
    Some(outcome(request, attempt, said, end, note_of(said).context))
}

/// A run that lacks nothing but its outcome.
fn reported(said: Conversation) -> Option<(Conversation, (Ending, Report))> {
    let end = said.ending.clone().zip(said.report.clone())?;
    Some((said, end))
}

/// What events say of the trace that an earlier worker began.
fn note_of(said: &Conversation) -> TraceNote {
    TraceNote { trace_id: said.trace_id.clone().unwrap_or_default(), context: said.trace_context.clone() }
}

/// The conversation to go on with.
fn opened(context: &RunContext<'_>, plan: &RunPlan, began: OffsetDateTime) -> Conversation {
    let mut conversation = context.resumed.clone().unwrap_or_default();
    conversation.started_at.get_or_insert(began);
    conversation.brief = Some(Box::new(plan.brief.clone()));
    conversation
}

/// Spans that belong to replies which an earlier worker got may still come.
fn expect_late_spans(conversation: &Conversation, trace: &dyn RunTrace) {
    let Some(spans) = trace.target_spans() else { return };
    conversation.reports.values().for_each(|report| spans.expect(&report.span));
}

/// The receipt of a run that ends without a stage: what earlier workers made of it, if it was on one.
fn receipt_of(said: &Conversation) -> TelemetryReceipt {
    let (unconfirmed, spans) = (said.spans.unconfirmed(), said.spans.lost());
    let lost = (spans > 0).then(|| DeliveryFailure {
        kind: DeliveryFailureKind::WorkerLost,
        status: None,
        message: UNFINISHED_TRACE.to_owned(),
        spans,
    });
    let error = said.trace_id.as_ref().map(|_| UNFINISHED_TRACE.to_owned());
    let mut receipt = said.spans.clone().receipt(said.trace_id.clone(), unconfirmed);
    receipt.errors.extend(lost);
    TelemetryReceipt { error, ..receipt }
}

fn unplanned(error: PlanError) -> Stopped {
    match error {
        PlanError::Failure(failure) => Stopped::Ended(Ending::Failed(failure)),
        PlanError::Unavailable(unavailable) => Stopped::Interrupted(Interruption::Unavailable(unavailable)),
    }
}

fn span_end(ending: &Ending) -> SpanEnd {
    match ending {
        Ending::Judged(judgement) => SpanEnd::Judged(judgement.clone()),
        Ending::Failed(failure) => failure.into(),
        Ending::Cancelled(wording) => {
            SpanEnd::Failed { code: CANCELLED.to_owned(), message: wording.clone() }
        }
    }
}

/// Trace context travels only where the request brought one.
fn trace_note(request: &RunRequest, trace: &dyn RunTrace) -> TraceNote {
    let context = request.parent.is_some().then(|| trace.root().context());
    TraceNote { trace_id: trace.trace_id(), context }
}

fn trace_spec(
    request: &Arc<RunRequest>,
    plan: &RunPlan,
    attempt: u32,
    conversation: &Conversation,
) -> TraceSpec {
    TraceSpec {
        request: Arc::clone(request),
        scenario_name: plan.brief.scenario.name.clone(),
        labels: plan.brief.scenario.labels.clone(),
        attempt,
        earlier: conversation.spans.clone(),
        started_at: conversation.started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        destination: plan.project.telemetry.clone(),
    }
}
