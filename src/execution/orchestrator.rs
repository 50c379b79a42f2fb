//! The life of a run from request to outcome. It orchestrates only: every step is one call of a port.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use time::OffsetDateTime;

use super::failure::{PlanError, RunFailure, Unavailable, code};
use super::outcome::{CANCELLED_BEFORE_START, CANCELLED_BY_USER, Circumstances, Ending, assemble};
use super::planner::{Planner, RunPlan};
use super::ports::{Clock, JournalError, RunJournal, RunTrace, RunTracers, TraceNote};
use super::signals::{StopReason, StopSignal};
use super::simulation::{Simulation, SimulationStop};
use super::types::{Conversation, Criterion, Judgement, SpanEnd, Step, TraceSpec};
use crate::events::{
    Attribution, RunCompleted, RunRequest, RunStarted, ScenarioSummary, TelemetryReceipt, TraceContext,
};

/// Wording of a run that took too long.
const TIMED_OUT: &str = "Scenario execution timed out";

/// Why a run ended without an outcome here.
#[derive(Debug, thiserror::Error)]
pub enum Interruption {
    /// Another worker has it.
    #[error("the run belongs to another worker now")]
    LeaseLost,
    /// This worker stops; another one goes on.
    #[error("the worker stops")]
    HandBack,
    /// What the worker runs on did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
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
    Interrupted(Interruption),
}

/// What a run is played with, beside its request.
pub struct RunContext<'a> {
    /// Which delivery this is, from 1.
    pub attempt: u32,
    /// Where an earlier delivery left off.
    pub resumed: Option<Conversation>,
    /// Where progress is recorded.
    pub journal: &'a dyn RunJournal,
    /// Tells the run to stop.
    pub stop: &'a StopSignal,
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

/// What stopped a simulation.
enum Stopped {
    Ended(Ending),
    Interrupted(Interruption),
}

impl Orchestrator {
    /// Plays one run. Failures become outcomes; only what is not the run's own business interrupts it.
    pub async fn run(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        let began = self.clock.now();
        let plan = tokio::select! {
            biased;
            reason = context.stop.stopped() => Err(stopped(reason, CANCELLED_BEFORE_START)),
            plan = self.planner.plan(request) => plan.map_err(unplanned),
        };
        match plan {
            Ok(plan) => self.play(request, plan, context, began).await,
            Err(Stopped::Interrupted(interruption)) => RunEnd::Interrupted(interruption),
            Err(Stopped::Ended(ending)) => self.never_ran(request, ending, &context, began),
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
        let now = self.clock.now();
        let started_at = said.started_at.unwrap_or(now);
        let telemetry = TelemetryReceipt::default();
        let circumstances =
            Circumstances { request, conversation: said, attempts, telemetry, started_at, finished_at: now };
        assemble(Ending::Failed(failure), circumstances)
    }

    fn never_ran(
        &self,
        request: &RunRequest,
        ending: Ending,
        context: &RunContext<'_>,
        began: OffsetDateTime,
    ) -> RunEnd {
        let conversation = context.resumed.clone().unwrap_or_default();
        let circumstances = Circumstances {
            request,
            conversation: &conversation,
            attempts: context.attempt,
            telemetry: TelemetryReceipt::default(),
            started_at: conversation.started_at.unwrap_or(began),
            finished_at: self.clock.now(),
        };
        RunEnd::Outcome { completed: Box::new(assemble(ending, circumstances)), context: None }
    }

    async fn play(
        &self,
        request: &Arc<RunRequest>,
        plan: RunPlan,
        context: RunContext<'_>,
        began: OffsetDateTime,
    ) -> RunEnd {
        let mut conversation = context.resumed.clone().unwrap_or_default();
        let started_at = *conversation.started_at.get_or_insert(began);
        let trace = self.tracers.start(trace_spec(request, &plan, context.attempt, started_at));
        let note = trace_note(request, trace.as_ref());
        let stage = Stage { request, plan: &plan, trace: trace.as_ref(), note: &note, context: &context };
        let stopped = self.supervise(&stage, &mut conversation).await;
        let stopped = report_rest(&stage, &conversation, stopped).await;
        let telemetry = trace.finish(span_end(&stopped)).await;
        let ending = match stopped {
            Stopped::Interrupted(interruption) => return RunEnd::Interrupted(interruption),
            Stopped::Ended(ending) => ending,
        };
        let (attempts, finished_at) = (context.attempt, self.clock.now());
        let conversation = &conversation;
        let around = Circumstances { request, conversation, attempts, telemetry, started_at, finished_at };
        RunEnd::Outcome { completed: Box::new(assemble(ending, around)), context: note.context }
    }

    /// Lets the simulation run until it ends, panics, takes too long or is told to stop.
    async fn supervise(&self, stage: &Stage<'_>, conversation: &mut Conversation) -> Stopped {
        let simulation = AssertUnwindSafe(self.simulate(stage, conversation)).catch_unwind();
        let result = tokio::select! {
            biased;
            reason = stage.context.stop.stopped() => return stopped(reason, CANCELLED_BY_USER),
            result = tokio::time::timeout(stage.plan.limits.timeout, simulation) => result,
        };
        match result {
            Err(_) => Stopped::Ended(Ending::Failed(timed_out(conversation.next))),
            Ok(Err(_)) => Stopped::Ended(Ending::Failed(panicked())),
            Ok(Ok(played)) => {
                played.map_or_else(unplayed, |judgement| Stopped::Ended(Ending::Judged(judgement)))
            }
        }
    }

    async fn simulate(
        &self,
        stage: &Stage<'_>,
        conversation: &mut Conversation,
    ) -> Result<Judgement, SimulationStop> {
        let &Stage { request, plan, trace, note, context } = stage;
        if context.resumed.is_none() {
            context.journal.started(started_event(stage, conversation), note).await?;
        }
        let criteria = Criterion::number(&plan.scenario.criteria).into();
        let (journal, clock) = (context.journal, self.clock.as_ref());
        Simulation { request, plan, criteria, journal, trace, note, clock }.play(conversation).await
    }
}

/// What the simulation of one run is set up with.
struct Stage<'a> {
    request: &'a RunRequest,
    plan: &'a RunPlan,
    trace: &'a dyn RunTrace,
    note: &'a TraceNote,
    context: &'a RunContext<'a>,
}

/// A run may be stopped between hearing something and reporting it. It is reported now, so that the outcome repeats
/// what the events said.
async fn report_rest(stage: &Stage<'_>, conversation: &Conversation, stopped: Stopped) -> Stopped {
    let broken_off = matches!(stopped, Stopped::Ended(Ending::Failed(_) | Ending::Cancelled(_)));
    if !broken_off || conversation.messages.is_empty() {
        return stopped;
    }
    match stage.context.journal.advanced(conversation, stage.note).await {
        Ok(()) => stopped,
        Err(error) => unplayed(error.into()),
    }
}

/// Trace context travels only where the request brought one.
fn trace_note(request: &RunRequest, trace: &dyn RunTrace) -> TraceNote {
    let context = request.parent.is_some().then(|| trace.root().context());
    TraceNote { trace_id: trace.trace_id(), context }
}

fn stopped(reason: StopReason, wording: &'static str) -> Stopped {
    match reason {
        StopReason::Cancelled => Stopped::Ended(Ending::Cancelled(wording)),
        StopReason::LeaseLost => Stopped::Interrupted(Interruption::LeaseLost),
        StopReason::HandBack => Stopped::Interrupted(Interruption::HandBack),
    }
}

fn unplanned(error: PlanError) -> Stopped {
    match error {
        PlanError::Failure(failure) => Stopped::Ended(Ending::Failed(failure)),
        PlanError::Unavailable(unavailable) => Stopped::Interrupted(Interruption::Unavailable(unavailable)),
    }
}

fn unplayed(stop: SimulationStop) -> Stopped {
    match stop {
        SimulationStop::Failure(failure) => Stopped::Ended(Ending::Failed(failure)),
        SimulationStop::Journal(JournalError::LeaseLost(_)) => Stopped::Interrupted(Interruption::LeaseLost),
        SimulationStop::Journal(error @ JournalError::TooLarge { .. }) => {
            let failure = RunFailure::new(code::TRANSCRIPT_TOO_LARGE, Attribution::Worker, error.to_string())
                .with_hint("Let the agent answer more briefly, or raise `max_payload` of the nats-server.");
            Stopped::Ended(Ending::Failed(failure))
        }
        SimulationStop::Journal(JournalError::Unavailable(error)) => {
            Stopped::Interrupted(Interruption::Unavailable(error))
        }
    }
}

/// Whoever was to move when the time was up is whom the time went to.
fn timed_out(next: Step) -> RunFailure {
    let attributed_to = match next {
        Step::UserSimulator => Attribution::UserSimulator,
        Step::Target => Attribution::Target,
        Step::Judge | Step::Verdict => Attribution::Judge,
    };
    RunFailure::new(code::EXECUTION_TIMEOUT, attributed_to, TIMED_OUT)
        .with_hint("Raise `timeoutSeconds` of the request, or look at who was waited for.")
}

fn panicked() -> RunFailure {
    RunFailure::new(code::WORKER_PANIC, Attribution::Worker, "The worker failed while it played the run")
        .with_hint("This is a bug of the worker; its log has the details.")
}

fn span_end(stopped: &Stopped) -> SpanEnd {
    match stopped {
        Stopped::Ended(Ending::Judged(judgement)) => SpanEnd::Judged(judgement.clone()),
        Stopped::Ended(Ending::Failed(failure)) => failure.into(),
        Stopped::Ended(Ending::Cancelled(wording)) => {
            SpanEnd::Failed { code: "cancelled".to_owned(), message: (*wording).to_owned() }
        }
        Stopped::Interrupted(interruption) => {
            SpanEnd::Failed { code: "interrupted".to_owned(), message: interruption.to_string() }
        }
    }
}

fn trace_spec(
    request: &Arc<RunRequest>,
    plan: &RunPlan,
    attempt: u32,
    started_at: OffsetDateTime,
) -> TraceSpec {
    TraceSpec {
        request: Arc::clone(request),
        scenario_name: plan.scenario.name.clone(),
        labels: plan.scenario.labels.clone(),
        attempt,
        started_at,
        destination: plan.project.telemetry.clone(),
    }
}

fn started_event(stage: &Stage<'_>, conversation: &Conversation) -> RunStarted {
    let &Stage { request, plan, note, context, .. } = stage;
    RunStarted {
        ids: request.ids(),
        target: request.target.clone(),
        scenario: ScenarioSummary { name: plan.scenario.name.clone(), labels: plan.scenario.labels.clone() },
        attempt: context.attempt,
        trace_id: note.trace_id.clone(),
        started_at: conversation.started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}
