//! A run under supervision: it ends, panics, stalls, takes too long or is told to stop.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use time::OffsetDateTime;

use super::failure::{RunFailure, Unavailable, code};
use super::outcome::CANCELLED_BY_USER;
use super::planner::RunPlan;
use super::ports::{Clock, JournalError, RunJournal, RunTrace, SessionCall, TraceNote};
use super::sessions;
use super::signals::{Progress, StopReason, StopSignal};
use super::simulation::{Simulation, SimulationStop};
use super::types::{Conversation, Criterion, Ending, Judgement, Step};
use crate::events::{Attribution, MessageRole, RunRequest, RunStarted};

/// Wording of a run that took too long.
pub const TIMED_OUT: &str = "Scenario execution timed out";
/// What became of a worker that has no time left for a call under way.
const STOPPED: &str = "stopped";
/// How long a cancelled run that began before waits for what its trace needs to get its root.
pub const CANCEL_GRACE: Duration = Duration::from_secs(3);
/// Time for judging a run that took too long.
pub const LAST_JUDGEMENT: Duration = Duration::from_mins(1);

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
    /// Is told whenever the run gets on.
    pub progress: Progress,
}

impl RunContext<'_> {
    /// Waits until the run is told to stop before it is on the stage. One that began before and is cancelled is best
    /// stopped there, where its trace gets its root; it does not wait long for that.
    pub(crate) async fn stopped_off_stage(&self) -> StopReason {
        let reason = self.stop.stopped().await;
        if reason == StopReason::Cancelled && self.resumed.is_some() {
            tokio::time::sleep(CANCEL_GRACE).await;
        }
        reason
    }
}

/// What stopped a run.
pub(super) enum Stopped {
    /// It has an ending.
    Ended(Ending),
    /// It goes on elsewhere or later.
    Interrupted(Interruption),
}

/// What the simulation of one run is set up with.
pub(super) struct Stage<'a> {
    /// What was asked for.
    pub(super) request: &'a RunRequest,
    /// Everything that was resolved for it.
    pub(super) plan: &'a RunPlan,
    /// The run's trace.
    pub(super) trace: &'a dyn RunTrace,
    /// What its events say of the trace.
    pub(super) note: &'a TraceNote,
    /// What it is played with.
    pub(super) context: &'a RunContext<'a>,
    /// Tells the time.
    pub(super) clock: &'a dyn Clock,
}

/// How a simulation stopped by itself.
enum Played {
    /// It came to an end; `None` is a panic.
    Ended(Option<Result<Judgement, SimulationStop>>),
    OutOfTime,
    Stalled,
}

impl Stage<'_> {
    /// Lets the simulation run until something stops it. A run that has its ending already is not played again.
    pub(super) async fn supervise(&self, conversation: &mut Conversation) -> Stopped {
        let stopped = self.stopped(conversation).await;
        let stopped = self.end_session(conversation, stopped).await;
        self.close_tape(stopped).await
    }

    async fn stopped(&self, conversation: &mut Conversation) -> Stopped {
        let stopped = match conversation.ending.clone() {
            Some(ending) => Stopped::Ended(ending),
            None => match self.played(conversation).await {
                // The simulation has stored its judgement.
                Ok(Played::Ended(Some(Ok(judgement)))) => {
                    return Stopped::Ended(Ending::Judged(judgement));
                }
                Ok(played) => self.broken_off(conversation, played).await,
                Err(reason) => told_to_stop(conversation, reason),
            },
        };
        self.keep(conversation, stopped).await
    }

    /// The ending is stored by now. That the session is ended is stored, too, so that nobody ends it again; where that
    /// cannot be, whoever has the run next does.
    async fn end_session(&self, conversation: &mut Conversation, stopped: Stopped) -> Stopped {
        let Some(session) = conversation.session.clone().filter(|_| matches!(stopped, Stopped::Ended(_)))
        else {
            return stopped;
        };
        let call = SessionCall { run: &self.request.key, span: self.trace.root() };
        sessions::end(self.plan.target.as_ref(), call, session, self.plan.limits.session_end).await;
        conversation.session = None;
        self.context.progress.touch();
        match self.context.journal.advanced(conversation, self.note).await {
            // What cannot be reported is stored all the same.
            Ok(()) | Err(JournalError::TooLarge { .. }) => stopped,
            Err(error) => unplayed(error.into()),
        }
    }

    /// What a run recorded may be a cassette once the run is over.
    async fn close_tape(&self, stopped: Stopped) -> Stopped {
        let (Some(tape), Stopped::Ended(ending)) = (&self.plan.tape, &stopped) else { return stopped };
        match tape.finish(ending).await {
            Ok(()) => stopped,
            Err(error) => Stopped::Interrupted(Interruption::Unavailable(error)),
        }
    }

    /// An ending is stored before anything else is done about it: delivering the spans may take long, and whoever has
    /// the run then must come to the same. What was heard and not reported yet is reported, so that the outcome
    /// repeats what the events said.
    async fn keep(&self, conversation: &mut Conversation, stopped: Stopped) -> Stopped {
        let Stopped::Ended(ending) = stopped else { return stopped };
        self.context.progress.touch();
        conversation.ending = Some(ending.clone());
        conversation.spans = self.trace.counts();
        match self.context.journal.advanced(conversation, self.note).await {
            Ok(()) => Stopped::Ended(ending),
            Err(error) => unplayed(error.into()),
        }
    }

    /// What a run comes to that did not come to its own end. A judgement that was being stored counts.
    async fn broken_off(&self, conversation: &mut Conversation, played: Played) -> Stopped {
        self.context.progress.touch();
        match (played, &conversation.ending) {
            (Played::OutOfTime | Played::Stalled, Some(ending)) => Stopped::Ended(ending.clone()),
            (Played::OutOfTime, None) => self.out_of_time(conversation).await,
            (Played::Stalled, None) => Stopped::Ended(Ending::Failed(self.stalled(conversation.next))),
            (Played::Ended(None), _) => Stopped::Ended(Ending::Failed(panicked())),
            (Played::Ended(Some(result)), _) => {
                result.map_or_else(unplayed, |judgement| Stopped::Ended(Ending::Judged(judgement)))
            }
        }
    }

    async fn played(&self, conversation: &mut Conversation) -> Result<Played, StopReason> {
        let (limits, context) = (self.plan.limits, self.context);
        let time_left = self.time_left(conversation.started_at);
        if time_left.is_zero() && context.stop.reason().is_none() {
            return Ok(Played::OutOfTime);
        }
        let simulation = AssertUnwindSafe(self.simulate(conversation)).catch_unwind();
        tokio::select! {
            biased;
            reason = context.stop.stopped() => Err(reason),
            () = tokio::time::sleep(time_left) => Ok(Played::OutOfTime),
            () = context.progress.stalled(limits.stall_timeout) => Ok(Played::Stalled),
            result = simulation => Ok(Played::Ended(result.ok())),
        }
    }

    /// The limit is for the whole run, over all workers that it was on.
    fn time_left(&self, started_at: Option<OffsetDateTime>) -> Duration {
        let spent = started_at.map_or(time::Duration::ZERO, |started_at| self.clock.now() - started_at);
        self.plan.limits.timeout.saturating_sub(spent.try_into().unwrap_or_default())
    }

    async fn simulate(&self, conversation: &mut Conversation) -> Result<Judgement, SimulationStop> {
        if !conversation.started {
            let event = started_event(self, conversation);
            self.context.journal.started(conversation, event, self.note).await?;
            conversation.started = true;
        }
        self.simulation().play(conversation).await
    }

    /// A run that took too long is judged on what it has, if it has an answer of the agent and may be.
    async fn out_of_time(&self, conversation: &mut Conversation) -> Stopped {
        let has_answer = conversation.messages.iter().any(|message| message.role == MessageRole::Assistant);
        let failure = timed_out(conversation.next);
        if !(has_answer && self.plan.limits.judge_on_timeout) {
            return Stopped::Ended(Ending::Failed(failure));
        }
        tokio::select! {
            biased;
            reason = self.context.stop.stopped() => stopped(reason, CANCELLED_BY_USER),
            judged = tokio::time::timeout(LAST_JUDGEMENT, self.judge_late(conversation)) => match judged {
                Ok(Ok(judgement)) => Stopped::Ended(Ending::Judged(judgement)),
                Ok(Err(SimulationStop::Journal(error))) => unplayed(error.into()),
                Ok(Err(SimulationStop::Failure(_))) | Err(_) => Stopped::Ended(Ending::Failed(failure)),
            },
        }
    }

    async fn judge_late(&self, conversation: &mut Conversation) -> Result<Judgement, SimulationStop> {
        let simulation = self.simulation();
        let judgement = simulation.judge_now(conversation).await?;
        let reasoning = format!("{TIMED_OUT}. {}", judgement.reasoning);
        simulation.conclude(conversation, Judgement { reasoning, ..judgement }).await
    }

    fn simulation(&self) -> Simulation<'_> {
        let &Self { request, plan, trace, note, context, clock } = self;
        let criteria = Criterion::number(&plan.brief.scenario.criteria).into();
        Simulation {
            request,
            plan,
            criteria,
            journal: context.journal,
            trace,
            note,
            progress: &context.progress,
            clock,
        }
    }

    fn stalled(&self, next: Step) -> RunFailure {
        let message = format!("The run finished no step for {} s", self.plan.limits.stall_timeout.as_secs());
        RunFailure::new(code::EXECUTION_STALLED, waited_for(next), message).with_hint(
            "Raise `run.stall_timeout_seconds` if a step may take that long, or look at who was waited for.",
        )
    }
}

/// What a told stop comes to; `wording` is for a cancel.
pub(super) fn stopped(reason: StopReason, wording: &'static str) -> Stopped {
    match reason {
        StopReason::Cancelled => Stopped::Ended(Ending::Cancelled(wording.to_owned())),
        StopReason::LeaseLost => Stopped::Interrupted(Interruption::LeaseLost),
        StopReason::HandBack => Stopped::Interrupted(Interruption::HandBack),
    }
}

/// A call that must not be made twice cannot be handed on: its end is unknown, so it is the run's.
pub(super) fn told_to_stop(conversation: &Conversation, reason: StopReason) -> Stopped {
    if reason == StopReason::HandBack && conversation.target_call_open {
        return Stopped::Ended(Ending::Failed(RunFailure::target_call_unknown(STOPPED)));
    }
    stopped(reason, CANCELLED_BY_USER)
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
fn waited_for(next: Step) -> Attribution {
    match next {
        Step::UserSimulator => Attribution::UserSimulator,
        Step::Target => Attribution::Target,
        Step::Judge | Step::Verdict => Attribution::Judge,
    }
}

fn timed_out(next: Step) -> RunFailure {
    RunFailure::new(code::EXECUTION_TIMEOUT, waited_for(next), TIMED_OUT)
        .with_hint("Raise `timeoutSeconds` of the request, or look at who was waited for.")
}

fn panicked() -> RunFailure {
    RunFailure::new(code::WORKER_PANIC, Attribution::Worker, "The worker failed while it played the run")
        .with_hint("This is a bug of the worker; its log has the details.")
}

fn started_event(stage: &Stage<'_>, conversation: &Conversation) -> RunStarted {
    let &Stage { request, plan, note, context, .. } = stage;
    RunStarted {
        ids: request.ids(),
        target: request.target.clone(),
        scenario: plan.brief.summary(),
        parameters: plan.brief.told_parameters(),
        attempt: context.attempt,
        trace_id: note.trace_id.clone(),
        started_at: conversation.started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}
