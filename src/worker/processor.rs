//! One delivery: read, claim, play, publish, settle. Every path ends in a settlement or says why not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::intake;
use super::journal::DurableJournal;
use super::stopping::StopSources;
use crate::events::{Attribution, RequestRejection, RunKey, RunRequest, SetId};
use crate::execution::failure::{RunFailure, Unavailable, code};
use crate::execution::orchestrator::{Interruption, Orchestrator, Player, RunContext, RunEnd};
use crate::execution::ports::JournalError;
use crate::execution::signals::{Progress, StopSignal};
use crate::execution::types::SpanCounts;
use crate::queue::{
    Cancellations, Claim, ClaimedRun, DeadLetters, Delivery, EventPublisher, Lease, PublishError, RunStates,
    SettleError, spans,
};
use crate::settings::ConsumerSettings;
use crate::telemetry::metrics::Metrics;
use crate::text::chain;

/// How long a delivery waits that met an unavailable database or broker, for each time that it was delivered.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How long it waits at most.
const LONGEST_RETRY_DELAY: Duration = Duration::from_mins(1);

/// Time beyond the stall timeout in which a run that stalled has to report so: telemetry, outcome, acknowledgement.
const STALL_GRACE: Duration = Duration::from_mins(2);

/// What the processor works with.
pub struct ProcessorParts {
    /// Plays runs.
    pub player: Arc<dyn Player>,
    /// Ends those that are not played.
    pub orchestrator: Orchestrator,
    /// Who runs what.
    pub states: RunStates,
    /// Events out.
    pub publisher: EventPublisher,
    /// Where hopeless messages go.
    pub dead_letters: DeadLetters,
    /// Cancel requests.
    pub cancellations: Cancellations,
    /// Timing of leases, and how often a run may be lost.
    pub consumer: ConsumerSettings,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout: Duration,
    /// The set of a run that names none.
    pub default_set: SetId,
    /// What is counted.
    pub metrics: Metrics,
}

/// What keeps a run this worker's.
pub(super) struct Hold {
    pub(super) lease: Lease,
    progress: Progress,
}

/// What is to be done with a run.
enum Task {
    /// It is played.
    Play,
    /// It is ended as this failure.
    GiveUp(RunFailure),
}

/// Processes deliveries, any number at once.
pub struct Processor {
    pub(super) parts: ProcessorParts,
    hand_back: CancellationToken,
}

/// A delivery could not be settled as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Processor {
    /// A processor whose runs are handed back when `hand_back` fires.
    #[must_use]
    pub fn new(parts: ProcessorParts, hand_back: CancellationToken) -> Self {
        Self { parts, hand_back }
    }

    /// Processes one delivery to its end.
    pub async fn process(&self, mut delivery: Delivery) {
        let span = spans::process(&mut delivery, &self.parts.consumer.durable);
        if let Some(kind) = self.take(delivery).instrument(span.clone()).await {
            spans::failed(&span, kind);
        }
    }

    /// Answers what went wrong with the delivery itself, which is logged here, once.
    async fn take(&self, delivery: Delivery) -> Option<&'static str> {
        self.parts.metrics.delivery(delivery.deliveries() > 1);
        let request = intake::read(&delivery, &self.parts.default_set, &self.parts.metrics);
        let rejected = request.as_ref().err().map(|rejection| rejection.code.as_str());
        // Every line of the log that is about a run names it.
        let run = request.as_ref().map_or_else(|_| Span::none(), |request| span_of(&request.key));
        let settled = Box::pin(self.settle(delivery, request)).instrument(run).await;
        if settled { rejected } else { Some(spans::UNSETTLED) }
    }

    async fn settle(&self, delivery: Delivery, request: Result<Arc<RunRequest>, RequestRejection>) -> bool {
        let stream_sequence = delivery.stream_sequence();
        let result = match request {
            Ok(request) => self.claim(delivery, &request).await,
            Err(rejection) => self.bury(delivery, rejection).await,
        };
        let Err(error) = result else { return true };
        self.parts.metrics.unsettled_delivery();
        tracing::error!(stream_sequence, error = %chain(&error), "a delivery could not be settled; the server delivers it again");
        false
    }

    async fn bury(&self, delivery: Delivery, rejection: RequestRejection) -> Result<(), ProcessError> {
        let code = rejection.code;
        tracing::warn!(stream_sequence = delivery.stream_sequence(), code = code.as_str(), reason = %rejection, "dead letter");
        self.parts.dead_letters.bury(&delivery, code, &rejection.reason).await?;
        Ok(delivery.term(code.as_str()).await?)
    }

    /// Takes the run if it is to be had. Its lease is kept from here on.
    async fn claim(&self, delivery: Delivery, request: &Arc<RunRequest>) -> Result<(), ProcessError> {
        let hold = self.hold(&delivery);
        if !hold.lease.confirmed().await {
            self.lose(delivery, "its lease was over before anything was done");
            return Ok(());
        }
        let (claim, task) = match self.claimed(request, &delivery).await {
            Ok(Claim::Granted(claim)) => (claim, Task::Play),
            Ok(Claim::AttemptsExhausted(claim)) => (claim, Task::GiveUp(self.attempts_exhausted())),
            Ok(Claim::Unreadable { run, reason }) => (run, Task::GiveUp(state_unreadable(&reason))),
            Ok(Claim::Finished | Claim::OwnedByOther { .. }) => return acknowledge(delivery).await,
            Ok(Claim::Outdated { delivery: later }) => {
                self.lose(delivery, &format!("delivery {later} has the run"));
                return Ok(());
            }
            Err(unavailable) => return self.retry_later(delivery, unavailable).await,
        };
        Box::pin(self.work(delivery, request, claim, &hold, task)).await
    }

    /// A run that is stuck so hard that its own stall clock does not end it loses its heartbeat on purpose.
    fn hold(&self, delivery: &Delivery) -> Hold {
        let (progress, limit) = (Progress::default(), self.parts.stall_timeout + STALL_GRACE);
        let watched = progress.clone();
        let is_alive = move || watched.idle() < limit;
        Hold { lease: Lease::hold(delivery, self.parts.consumer.heartbeat(), is_alive), progress }
    }

    /// A worker that was frozen, or cut off, finds that its messages are another's by now.
    pub(super) fn lose(&self, delivery: Delivery, why: &str) {
        self.parts.metrics.lease_lost();
        let (stream_sequence, deliveries) = (delivery.stream_sequence(), delivery.deliveries());
        tracing::warn!(stream_sequence, deliveries, why, "a delivery is left to another worker");
        delivery.abandon();
    }

    /// A run that has its outcome is over, whatever its state says: the state may have expired, or its worker was lost
    /// before it wrote it.
    async fn claimed(&self, request: &RunRequest, delivery: &Delivery) -> Result<Claim, Unavailable> {
        if let Some(outcome) = self.parts.publisher.outcome(&request.key).await? {
            let ttl = self.parts.publisher.state_retention();
            self.parts.states.settle(&request.key, outcome.status, ttl).await?;
            return Ok(Claim::Finished);
        }
        let (most, now) = (self.parts.consumer.max_attempts, self.parts.orchestrator.clock.now());
        let (sequence, number) = (delivery.stream_sequence(), delivery.deliveries());
        self.parts.states.claim(&request.key, sequence, number, most, now).await
    }

    async fn work(
        &self,
        delivery: Delivery,
        request: &Arc<RunRequest>,
        claim: ClaimedRun,
        hold: &Hold,
        task: Task,
    ) -> Result<(), ProcessError> {
        let in_flight = self.parts.metrics.run_in_flight();
        let end = self.orchestrate(request, &claim, hold, task).await;
        drop(in_flight);
        let end = end.unwrap_or_else(|error| RunEnd::Interrupted { why: error.into(), spans: None });
        match end {
            RunEnd::Outcome { completed, context } => {
                Box::pin(self.conclude(delivery, claim, hold, *completed, context)).await
            }
            RunEnd::Interrupted { why, spans } => self.hand_on(delivery, &claim, hold, why, spans).await,
        }
    }

    async fn orchestrate(
        &self,
        request: &Arc<RunRequest>,
        claim: &ClaimedRun,
        hold: &Hold,
        task: Task,
    ) -> Result<RunEnd, Unavailable> {
        let parts = &self.parts;
        let cancel = parts.cancellations.token(&request.key, &request.batch_run_id).await?;
        let journal = DurableJournal::open(request, claim, &parts.publisher, &hold.lease).await?;
        let sources = self.stop_sources(hold, cancel.token());
        let taken_over = claim.taken_over(parts.consumer.heartbeat());
        let (stop, progress) = (StopSignal::default(), hold.progress.clone());
        let (attempt, resumed) = (claim.attempt(), claim.resumed().cloned());
        let context = RunContext { attempt, resumed, journal: &journal, stop: &stop, progress };
        tokio::select! {
            // First, so that a run which was cancelled while it was queued never begins.
            biased;
            never = sources.relay(taken_over, &stop) => match never {},
            end = self.perform(request, task, context) => Ok(end),
        }
    }

    async fn perform(&self, request: &Arc<RunRequest>, task: Task, context: RunContext<'_>) -> RunEnd {
        match task {
            Task::Play => self.parts.player.perform(request, context).await,
            Task::GiveUp(failure) => self.parts.orchestrator.give_up(request, failure, context).await,
        }
    }

    fn stop_sources(&self, hold: &Hold, cancelled: CancellationToken) -> StopSources {
        StopSources { lease_lost: hold.lease.lost(), cancelled, hand_back: self.hand_back.clone() }
    }

    fn attempts_exhausted(&self) -> RunFailure {
        let most = self.parts.consumer.max_attempts;
        let message = format!("The run's execution was lost more than {most} times");
        RunFailure::new(code::ATTEMPTS_EXHAUSTED, Attribution::Worker, message)
            .with_hint("Its workers crashed or were killed; their logs say why.")
    }

    /// Leaves the run to whoever is next.
    async fn hand_on(
        &self,
        delivery: Delivery,
        claim: &ClaimedRun,
        hold: &Hold,
        why: Interruption,
        spans: Option<SpanCounts>,
    ) -> Result<(), ProcessError> {
        match why {
            _ if !hold.lease.holds() => {
                self.lose(delivery, "its lease is lost");
                Ok(())
            }
            Interruption::LeaseLost => {
                self.lose(delivery, "another worker has the run");
                Ok(())
            }
            Interruption::HandBack => {
                self.release(claim, spans).await;
                Ok(delivery.nak(None).await?)
            }
            Interruption::Unavailable(unavailable) => {
                self.release(claim, spans).await;
                self.retry_later(delivery, unavailable).await
            }
        }
    }

    /// Without this mark the next delivery counts a lost execution, which is the worst that can come of a failure.
    async fn release(&self, claim: &ClaimedRun, spans: Option<SpanCounts>) {
        if let Err(error) = claim.hand_back(spans).await {
            tracing::warn!(%error, "a run could not be marked as handed back");
        }
    }

    /// Waits longer each time, so that a long outage is not a storm of deliveries.
    async fn retry_later(&self, delivery: Delivery, unavailable: Unavailable) -> Result<(), ProcessError> {
        let (stream_sequence, deliveries) = (delivery.stream_sequence(), delivery.deliveries());
        let times = u32::try_from(deliveries).unwrap_or(u32::MAX);
        let delay = RETRY_DELAY.saturating_mul(times).min(LONGEST_RETRY_DELAY);
        let (seconds, error) = (delay.as_secs(), chain(&unavailable));
        tracing::warn!(stream_sequence, deliveries, %error, "a run waits {seconds} s for better times");
        Ok(delivery.nak(Some(delay)).await?)
    }
}

/// What the log says of every line about a run.
fn span_of(run: &RunKey) -> Span {
    tracing::info_span!("run", project = %run.project, run = %run.run)
}

async fn acknowledge(delivery: Delivery) -> Result<(), ProcessError> {
    let stream_sequence = delivery.stream_sequence();
    tracing::info!(stream_sequence, "a second request for a run is acknowledged and not run");
    Ok(delivery.ack().await?)
}

/// Whoever reads this must not start over: calls that are finished would be made again.
fn state_unreadable(reason: &str) -> RunFailure {
    let message = format!("What is stored of the run cannot be read: {reason}");
    RunFailure::new(code::STATE_UNREADABLE, Attribution::Worker, message).with_hint(
        "Where workers of several versions share a consumer, let the newer ones finish what they began.",
    )
}
