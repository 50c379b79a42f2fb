//! The conversation of the worker with the process of a run, for as long as the run lasts.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Violation, Work};
use super::log::Log;
use super::overtime::{Overtime, Times};
use super::permits::Permits;
use super::process::{Process, ProcessError};
use super::received::Handovers;
use crate::execution::failure::Unavailable;
use crate::execution::metering::CallMeter;
use crate::execution::orchestrator::{CANCEL_GRACE, Interruption, RunContext};
use crate::execution::ports::JournalError;
use crate::execution::signals::StopReason;
use crate::execution::types::SpanCounts;
use crate::isolation::frames::{Answer, Call, ChildEnd, FromChild, Refusal, ToChild};
use crate::telemetry::metrics::SpanTally;
use crate::telemetry::run::LAST_DELIVERY;

/// The most calls on a cassette, or for late spans, at once; a panel of judges makes one for each of them.
const MOST_CALLS: usize = 16;
/// How much longer than the last delivery of spans a process may take that is to hand its run back: the worker itself has
/// no more than a few seconds then.
const HAND_BACK_MARGIN: Duration = Duration::from_secs(1);

/// Why the conversation is over.
#[derive(Debug)]
pub(super) enum Finish {
    /// The run has an outcome.
    Outcome,
    /// It goes on elsewhere or later.
    Interrupted(Option<SpanCounts>),
    /// The process is not there any more.
    Gone,
    /// It said what cannot be understood, or may not be said.
    Nonsense(String),
    /// It was told to stop, and did not in time.
    Overdue,
    /// The run's time is up, and its process did not see to that.
    OutOfTime,
    /// The process says nothing any more.
    Silent,
}

/// What the worker knows of a run whose process it talks to.
pub(super) struct Relay<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) process: Process,
    pub(super) times: Times,
    pub(super) log: Log,
    /// Its calls that are limited.
    permits: Permits<'a>,
    /// Spans that the run's target sends.
    handovers: Handovers,
    /// Counts its calls.
    meter: &'a dyn CallMeter,
    /// What the process was refused, if that keeps the run from going on.
    pub(super) refused: Option<Interruption>,
    /// What it counted.
    pub(super) tally: SpanTally,
    overtime: Overtime,
    /// Why it was told to stop, and when.
    told: Option<(StopReason, Instant)>,
    /// When it has to be gone that is told to be quick.
    last: Option<Instant>,
    hurried: bool,
    storing: Option<(u64, BoxFuture<'a, Result<(), JournalError>>)>,
    calls: FuturesUnordered<BoxFuture<'a, (u64, Result<Answer, Unavailable>)>>,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        desk: Desk<'a>,
        permits: Permits<'a>,
        handovers: Handovers,
        meter: &'a dyn CallMeter,
        process: Process,
        times: Times,
        log: Log,
    ) -> Self {
        let (calls, tally) = Default::default();
        let overtime = Overtime::new(times.left, desk.said(), Instant::now());
        Self {
            desk,
            process,
            times,
            log,
            permits,
            handovers,
            meter,
            refused: None,
            tally,
            overtime,
            told: None,
            last: None,
            hurried: false,
            storing: None,
            calls,
        }
    }

    /// Talks until the run is over in its process, or the process is.
    pub(super) async fn talk(&mut self, context: &RunContext<'_>, hurry: &CancellationToken) -> Finish {
        loop {
            match self.next(context, hurry).await {
                Ok(None) => {}
                Ok(Some(finish)) => return finish,
                Err(error) => return Finish::Nonsense(error.to_string()),
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one line for each thing that may happen")]
    async fn next(
        &mut self,
        context: &RunContext<'_>,
        hurry: &CancellationToken,
    ) -> Result<Option<Finish>, ProcessError> {
        let (idle, told) = (self.storing.is_none() && self.calls.is_empty(), self.told.is_some());
        // A process that never stops asking does not get round its time by that.
        let until = self.until();
        let listens = self.calls.len() < MOST_CALLS && Instant::now() < until;
        tokio::select! {
            biased;
            reason = context.stop.stopped(), if !told => self.stop(reason)?,
            () = hurry.cancelled(), if !self.hurried => self.hurry()?,
            (call, stored) = stored(&mut self.storing) => self.answer_stored(call, stored)?,
            Some((call, answer)) = self.calls.next() => self.answer(call, answer)?,
            call = self.permits.next() => self.answer(call, Ok(Answer::Done))?,
            received = self.handovers.next() => self.process.tell(&received)?,
            () = tokio::time::sleep_until(until), if told || idle => return Ok(Some(self.overdue())),
            heard = self.process.hear(), if listens => match heard {
                None => return Ok(Some(Finish::Gone)),
                Some(frame) => return Ok(self.heard(frame?, context)),
            },
            () = context.progress.stalled(self.times.silence), if idle => return Ok(Some(Finish::Silent)),
        }
        Ok(None)
    }

    fn overdue(&self) -> Finish {
        if self.told.is_some() { Finish::Overdue } else { Finish::OutOfTime }
    }

    /// When the process has to have ended by itself.
    fn until(&self) -> Instant {
        let (times, said) = (&self.times, self.desk.said());
        let until = match self.told {
            None => self.overtime.until(times, said),
            Some((StopReason::Cancelled, at)) => at + CANCEL_GRACE + times.closing(said),
            Some((StopReason::LeaseLost | StopReason::HandBack, at)) => at + LAST_DELIVERY + HAND_BACK_MARGIN,
        };
        self.last.map_or(until, |last| until.min(last))
    }

    fn stop(&mut self, reason: StopReason) -> Result<(), ProcessError> {
        self.told = Some((reason, Instant::now()));
        if self.hurried || reason != StopReason::Cancelled {
            self.times.grace = self.times.grace.min(HAND_BACK_MARGIN);
        }
        self.process.tell(&ToChild::Stop(reason))
    }

    fn hurry(&mut self) -> Result<(), ProcessError> {
        self.hurried = true;
        if self.told.is_some() {
            self.last = Some(Instant::now() + LAST_DELIVERY + HAND_BACK_MARGIN);
            self.times.grace = self.times.grace.min(HAND_BACK_MARGIN);
        }
        self.process.tell(&ToChild::Hurry)
    }

    fn answer_stored(&mut self, call: u64, stored: Result<(), JournalError>) -> Result<(), ProcessError> {
        self.storing = None;
        self.overtime.answered(self.desk.said(), Instant::now());
        let answer = match stored {
            Ok(()) => Answer::Done,
            Err(error) => {
                let refusal = Refusal::from(&error);
                self.refuse(error);
                Answer::Refused(refusal)
            }
        };
        self.process.tell(&ToChild::Answer { call, answer })
    }

    fn answer(&mut self, call: u64, answer: Result<Answer, Unavailable>) -> Result<(), ProcessError> {
        self.overtime.answered(self.desk.said(), Instant::now());
        let answer = answer.unwrap_or_else(|error| {
            let refusal = Refusal::from(&error);
            self.refuse(JournalError::Unavailable(error));
            Answer::Refused(refusal)
        });
        self.process.tell(&ToChild::Answer { call, answer })
    }

    fn refuse(&mut self, error: JournalError) {
        match error {
            // An outcome of its own.
            JournalError::TooLarge { .. } => {}
            JournalError::LeaseLost(_) => self.refused = Some(Interruption::LeaseLost),
            JournalError::Unavailable(error) => self.refused = Some(Interruption::Unavailable(error)),
        }
    }

    fn heard(&mut self, frame: FromChild, context: &RunContext<'_>) -> Option<Finish> {
        self.overtime.heard(Instant::now());
        self.understood(frame, context)
    }

    #[expect(clippy::too_many_lines, reason = "one line for each thing that may be said")]
    fn understood(&mut self, frame: FromChild, context: &RunContext<'_>) -> Option<Finish> {
        match frame {
            FromChild::Log { level, text } => self.log.say(level, &text, self.desk.session()),
            FromChild::Throttled { call, throttled } => self.permits.refused(call, throttled),
            FromChild::Over { call } => self.permits.over(call),
            FromChild::Called { kind, end, took } => self.meter.called(kind, end, took),
            FromChild::Took { number, reception } => self.handovers.took(number, reception),
            FromChild::Moved => context.progress.touch(),
            FromChild::Refused { reason } => return Some(Finish::Nonsense(reason)),
            FromChild::End { end, tally } => {
                self.tally = tally;
                return Some(match end {
                    ChildEnd::Outcome => Finish::Outcome,
                    ChildEnd::Interrupted(spans) => Finish::Interrupted(spans),
                });
            }
            FromChild::Call { id, call } => {
                context.progress.touch();
                return self.begin(id, call).err().map(|violation| Finish::Nonsense(violation.to_string()));
            }
        }
        None
    }

    fn begin(&mut self, id: u64, call: Call) -> Result<(), Violation> {
        match self.desk.take(call)? {
            Work::Journal(storing) => self.storing = Some((id, storing)),
            Work::Call(work) => self.calls.push(work.map(move |answer| (id, answer)).boxed()),
            Work::Permit(call) => self.permits.take(id, call)?,
        }
        Ok(())
    }
}

/// Waits for what is being stored, for ever where nothing is.
async fn stored(
    storing: &mut Option<(u64, BoxFuture<'_, Result<(), JournalError>>)>,
) -> (u64, Result<(), JournalError>) {
    match storing {
        Some((call, work)) => (*call, work.await),
        None => std::future::pending().await,
    }
}
