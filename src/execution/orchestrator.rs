//! The life of a run from request to outcome. It orchestrates only: every step is one call of a port.

use std::sync::Arc;

use time::OffsetDateTime;

use super::failure::{PlanError, RunFailure};
use super::outcome::{CANCELLED_BEFORE_START, Circumstances, Ending, assemble};
use super::planner::{Planner, RunPlan};
use super::ports::{Clock, RunTrace, RunTracers, TraceNote};
use super::supervision::{Stage, Stopped, stopped};
use super::types::{Conversation, SpanCounts, SpanEnd, TraceSpec};
use crate::events::{RunCompleted, RunRequest, TelemetryReceipt, TraceContext};

pub use super::supervision::{Interruption, RunContext};

/// Why not every span of a run is there that began and cannot go on.
const UNFINISHED_TRACE: &str = "the run could not go on, so its trace has no root";
/// Code of a cancelled run's root span.
const CANCELLED: &str = "cancelled";

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

impl Orchestrator {
    /// Plays one run. Failures become outcomes; only what is not the run's own business interrupts it.
    pub async fn run(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        let began = self.clock.now();
        match self.prepare(request, &context).await {
            Ok(plan) => self.play(request, plan, context, began).await,
            Err(Stopped::Interrupted(why)) => RunEnd::Interrupted { why, spans: None },
            Err(Stopped::Ended(ending)) => {
                let mut said = context.resumed.unwrap_or_default();
                said.started_at.get_or_insert(began);
                let completed = Box::new(self.unplayed(request, ending, context.attempt, &said));
                RunEnd::Outcome { completed, context: None }
            }
        }
    }

    /// A run that began before is not stopped here but on the stage, where its trace is finished.
    async fn prepare(&self, request: &RunRequest, context: &RunContext<'_>) -> Result<RunPlan, Stopped> {
        tokio::select! {
            biased;
            reason = context.stop.stopped(), if context.resumed.is_none() => Err(stopped(reason, CANCELLED_BEFORE_START)),
            plan = self.planner.plan(request, context.resumed.as_ref()) => plan.map_err(unplanned),
        }
    }

    /// The outcome of a run that was given up before it began: no trace, no `started` event.
    #[must_use]
    pub fn refuse(
        &self,
        request: &RunRequest,
        failure: RunFailure,
        attempts: u32,
        said: &Conversation,
    ) -> RunCompleted {
        self.unplayed(request, Ending::Failed(failure), attempts, said)
    }

    fn unplayed(
        &self,
        request: &RunRequest,
        ending: Ending,
        attempts: u32,
        said: &Conversation,
    ) -> RunCompleted {
        let finished_at = self.clock.now();
        let started_at = said.started_at.unwrap_or(finished_at);
        let (conversation, telemetry) = (said, receipt_of(said));
        assemble(
            ending,
            Circumstances { request, conversation, attempts, telemetry, started_at, finished_at },
        )
    }

    async fn play(
        &self,
        request: &Arc<RunRequest>,
        plan: RunPlan,
        context: RunContext<'_>,
        began: OffsetDateTime,
    ) -> RunEnd {
        let (mut conversation, started_at) = opened(&context, &plan, began);
        let trace = self.tracers.start(trace_spec(request, &plan, context.attempt, &conversation));
        let (note, clock) = (trace_note(request, trace.as_ref()), self.clock.as_ref());
        conversation.trace_id = Some(note.trace_id.clone());
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
        let (conversation, attempts, finished_at) = (&conversation, context.attempt, self.clock.now());
        let around = Circumstances { request, conversation, attempts, telemetry, started_at, finished_at };
        RunEnd::Outcome { completed: Box::new(assemble(ending, around)), context: note.context }
    }
}

/// The conversation to go on with, and when it began.
fn opened(context: &RunContext<'_>, plan: &RunPlan, began: OffsetDateTime) -> (Conversation, OffsetDateTime) {
    let mut conversation = context.resumed.clone().unwrap_or_default();
    let started_at = *conversation.started_at.get_or_insert(began);
    conversation.brief = Some(Box::new(plan.brief.clone()));
    (conversation, started_at)
}

/// The receipt of a run that ends without a stage: what earlier workers made of it, if it was on one.
fn receipt_of(said: &Conversation) -> TelemetryReceipt {
    let error = said.trace_id.as_ref().map(|_| UNFINISHED_TRACE.to_owned());
    let SpanCounts { made: spans, exported } = said.spans;
    TelemetryReceipt { trace_id: said.trace_id.clone(), spans, exported, error }
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
            SpanEnd::Failed { code: CANCELLED.to_owned(), message: (*wording).to_owned() }
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
        earlier: conversation.spans,
        started_at: conversation.started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        destination: plan.project.telemetry.clone(),
    }
}
