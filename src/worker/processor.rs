//! One delivery: read, claim, play, publish, settle. Every path ends in a settlement or says why not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::intake;
use super::journal::DurableJournal;
use super::stopping::StopSources;
use crate::events::{Attribution, RequestRejection, RunCompleted, RunRequest, SetId, TraceContext};
use crate::execution::failure::{RunFailure, Unavailable, code};
use crate::execution::orchestrator::{Interruption, Orchestrator, RunContext, RunEnd};
use crate::execution::signals::{Progress, StopSignal};
use crate::execution::types::{Conversation, SpanCounts};
use crate::queue::{
    Cancellations, Claim, ClaimedRun, DeadLetters, Delivery, EventPublisher, Lease, PublishError, Published,
    RunStates, SettleError,
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
struct Hold {
    lease: Lease,
    progress: Progress,
}

/// Processes deliveries, any number at once.
pub struct Processor {
    parts: ProcessorParts,
    hand_back: CancellationToken,
}

/// A delivery could not be settled as it should.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Processor {
    /// A processor whose runs are handed back when `hand_back` fires.
    #[must_use]
    pub fn new(parts: ProcessorParts, hand_back: CancellationToken) -> Self {
        Self { parts, hand_back }
    }

    /// Processes one delivery to its end. What goes wrong is logged here, once.
    pub async fn process(&self, delivery: Delivery) {
        let stream_sequence = delivery.stream_sequence();
        self.parts.metrics.delivery(delivery.deliveries() > 1);
        let result = match intake::read(&delivery, &self.parts.default_set, &self.parts.metrics) {
            Ok(request) => self.claim(delivery, &request).await,
            Err(rejection) => self.bury(delivery, rejection).await,
        };
        if let Err(error) = result {
            self.parts.metrics.unsettled_delivery();
            tracing::error!(stream_sequence, error = %chain(&error), "a delivery could not be settled; the server delivers it again");
        }
    }

    async fn bury(&self, delivery: Delivery, rejection: RequestRejection) -> Result<(), ProcessError> {
        let code = rejection.code;
        tracing::warn!(stream_sequence = delivery.stream_sequence(), code = code.as_str(), reason = %rejection, "dead letter");
        self.parts.dead_letters.bury(&delivery, code, &rejection.reason).await?;
        Ok(delivery.term(code.as_str()).await?)
    }

    /// Takes the run if it is to be had. Its lease is kept from here on.
    async fn claim(&self, delivery: Delivery, request: &Arc<RunRequest>) -> Result<(), ProcessError> {
        let progress = Progress::default();
        let lease = self.hold(&delivery, &progress);
        let sequence = delivery.stream_sequence();
        match self.claimed(request, &delivery).await {
            Ok(Claim::Granted(claim)) => {
                Box::pin(self.play(delivery, request, claim, &Hold { lease, progress })).await
            }
            Ok(Claim::AttemptsExhausted(claim)) => Box::pin(self.give_up(delivery, request, claim)).await,
            Ok(Claim::Finished | Claim::OwnedByOther { .. }) => {
                tracing::info!(run = %request.key, stream_sequence = sequence, "a second request for a run is acknowledged and not run");
                Ok(delivery.ack().await?)
            }
            Ok(Claim::Outdated { delivery: later }) => {
                self.abandon(delivery, later);
                Ok(())
            }
            Err(unavailable) => self.retry_later(delivery, unavailable).await,
        }
    }

    /// A run that is stuck so hard that its own stall clock does not end it loses its heartbeat on purpose.
    fn hold(&self, delivery: &Delivery, progress: &Progress) -> Lease {
        let (progress, limit) = (progress.clone(), self.parts.stall_timeout + STALL_GRACE);
        Lease::hold(delivery, self.parts.consumer.heartbeat(), move || progress.idle() < limit)
    }

    /// A worker that was frozen, or cut off, finds messages that another one has by now.
    fn abandon(&self, delivery: Delivery, later: u64) {
        self.parts.metrics.lease_lost();
        let (stream_sequence, deliveries) = (delivery.stream_sequence(), delivery.deliveries());
        tracing::warn!(
            stream_sequence,
            deliveries,
            later,
            "a delivery came too late: a later one has the run"
        );
        delivery.abandon();
    }

    /// The state of a run may have expired while its outcome is still there: finished is final.
    async fn claimed(&self, request: &RunRequest, delivery: &Delivery) -> Result<Claim, Unavailable> {
        if self.parts.publisher.is_completed(&request.key).await? {
            return Ok(Claim::Finished);
        }
        let (most, now) = (self.parts.consumer.max_attempts, self.parts.orchestrator.clock.now());
        let (sequence, number) = (delivery.stream_sequence(), delivery.deliveries());
        self.parts.states.claim(&request.key, sequence, number, most, now).await
    }

    async fn play(
        &self,
        delivery: Delivery,
        request: &Arc<RunRequest>,
        claim: ClaimedRun,
        hold: &Hold,
    ) -> Result<(), ProcessError> {
        let in_flight = self.parts.metrics.run_in_flight();
        let end = self.orchestrate(request, &claim, hold).await;
        drop(in_flight);
        let end = end.unwrap_or_else(|error| RunEnd::Interrupted { why: error.into(), spans: None });
        match end {
            RunEnd::Outcome { completed, context } => {
                Box::pin(self.conclude(delivery, request, claim, *completed, context)).await
            }
            RunEnd::Interrupted { why, spans } => self.hand_on(delivery, &claim, why, spans).await,
        }
    }

    async fn orchestrate(
        &self,
        request: &Arc<RunRequest>,
        claim: &ClaimedRun,
        hold: &Hold,
    ) -> Result<RunEnd, Unavailable> {
        let cancel = self.parts.cancellations.token(&request.key, &request.batch_run_id).await?;
        let (lease_lost, cancelled, hand_back) = (hold.lease.lost(), cancel.token(), self.hand_back.clone());
        let journal = DurableJournal::open(request, claim, &self.parts.publisher).await?;
        let sources = StopSources { lease_lost, cancelled, hand_back };
        let (stop, resumed) = (StopSignal::default(), claim.resumed().cloned());
        let (attempt, progress) = (claim.attempt(), hold.progress.clone());
        let context = RunContext { attempt, resumed, journal: &journal, stop: &stop, progress };
        tokio::select! {
            // First, so that a run which was cancelled while it was queued never begins.
            biased;
            never = sources.relay(&stop) => match never {},
            end = self.parts.orchestrator.run(request, context) => Ok(end),
        }
    }

    async fn give_up(
        &self,
        delivery: Delivery,
        request: &Arc<RunRequest>,
        claim: ClaimedRun,
    ) -> Result<(), ProcessError> {
        let most = self.parts.consumer.max_attempts;
        let failure = RunFailure::new(
            code::ATTEMPTS_EXHAUSTED,
            Attribution::Worker,
            format!("The run's execution was lost more than {most} times"),
        )
        .with_hint("Its workers crashed or were killed; their logs say why.");
        let said = claim.resumed().cloned().unwrap_or_default();
        let completed = self.parts.orchestrator.refuse(request, failure, claim.attempt(), &said);
        Box::pin(self.conclude(delivery, request, claim, completed, None)).await
    }

    /// Outcome, then state, then acknowledgement: a crash between any two of them repeats the rest only.
    async fn conclude(
        &self,
        delivery: Delivery,
        request: &RunRequest,
        claim: ClaimedRun,
        completed: RunCompleted,
        context: Option<TraceContext>,
    ) -> Result<(), ProcessError> {
        let (published, completed) = self.publish(request, completed, context.as_ref()).await?;
        match published {
            Published::Stored => self.report(&completed),
            Published::AlreadyThere => {
                self.parts.metrics.outcome_conflict();
                tracing::warn!(run = %request.key, "the run had an outcome already; this one is dropped");
            }
        }
        if let Err(error) = claim.finish(completed.status, self.parts.publisher.state_retention()).await {
            tracing::warn!(run = %request.key, %error, "the outcome is published, but the run's state does not say so yet");
        }
        Ok(delivery.ack().await?)
    }

    /// An outcome that does not fit is an outcome all the same: an error that says so.
    async fn publish(
        &self,
        request: &RunRequest,
        completed: RunCompleted,
        context: Option<&TraceContext>,
    ) -> Result<(Published, RunCompleted), PublishError> {
        let publisher = &self.parts.publisher;
        match publisher.completed(&completed, context).await {
            Err(error @ PublishError::TooLarge { .. }) => {
                let failure =
                    RunFailure::new(code::OUTCOME_TOO_LARGE, Attribution::Definition, error.to_string())
                        .with_hint("Shorten the criteria, or raise `max_payload` of the nats-server.");
                let short = self.shortened(request, failure, completed);
                Ok((publisher.completed(&short, context).await?, short))
            }
            stored => Ok((stored?, completed)),
        }
    }

    /// What the run cost and what became of its spans is as true as before.
    fn shortened(&self, request: &RunRequest, failure: RunFailure, completed: RunCompleted) -> RunCompleted {
        let RunCompleted { attempts, turns, usage, telemetry, started_at, .. } = completed;
        let nothing =
            Conversation { started_at: Some(started_at), turn: turns, usage, ..Conversation::default() };
        RunCompleted { telemetry, ..self.parts.orchestrator.refuse(request, failure, attempts, &nothing) }
    }

    fn report(&self, completed: &RunCompleted) {
        self.parts.metrics.outcome(completed.status, Duration::from_millis(completed.duration_ms));
        tracing::info!(
            project = %completed.ids.project_id,
            run = %completed.ids.scenario_run_id,
            scenario = %completed.ids.scenario_id,
            status = ?completed.status,
            error.code = completed.error.as_ref().map(|error| error.code.as_str()),
            turns = completed.turns,
            attempts = completed.attempts,
            duration_ms = completed.duration_ms,
            spans.made = completed.telemetry.spans,
            spans.exported = completed.telemetry.exported,
            "run completed"
        );
    }

    /// Leaves the run to whoever is next.
    async fn hand_on(
        &self,
        delivery: Delivery,
        claim: &ClaimedRun,
        why: Interruption,
        spans: Option<SpanCounts>,
    ) -> Result<(), ProcessError> {
        match why {
            Interruption::LeaseLost => {
                self.parts.metrics.lease_lost();
                let stream_sequence = delivery.stream_sequence();
                tracing::warn!(stream_sequence, "the lease of a run is lost; it is another worker's now");
                delivery.abandon();
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
