//! Spans that were spooled are sent again, and told of when their run is over and all of them are settled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::events::{DeliveryFailure, DeliveryFailureKind, ProjectId, RunTelemetryDelivered};
use crate::execution::failure::Unavailable;
use crate::queue::{ConsumerError, Delivery, EventPublisher, Published, Spool, SpoolLedger, spans};
use crate::telemetry::metrics::{Metrics, SpanLoss};
use crate::telemetry::spool::{Courier, NotDelivered, Parcel, SEND_TIME, Settled, send_time};
use crate::text::chain;

/// Parcels that this process sends at one time.
const AT_ONCE: usize = 8;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The longest pause that an endpoint may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// The longest pause before it is looked again whether the run is over.
const LONGEST_LOOK: Duration = Duration::from_mins(1);
/// How long a parcel may go on when the worker is told to stop; then another worker sends it.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Which part of a pause it is at least: parcels that failed together do not come back together.
const SHORTEST_PART: f64 = 0.5;

/// Sends what is spooled.
#[derive(Clone)]
pub struct SpoolSender {
    /// What is spooled.
    pub spool: Spool,
    /// Sends it.
    pub courier: Courier,
    /// Tells of it.
    pub publisher: EventPublisher,
    /// How long a parcel is tried.
    pub retention: Duration,
    /// The first pause between two attempts.
    pub retry: Duration,
    /// What is counted.
    pub metrics: Metrics,
    /// Endpoints that failed just now.
    pub resting: Resting,
}

/// Parcels that may have more than the usual time, of those that this process sends at one time: the others wait behind
/// endpoints that answer, or not for long.
const LONG_AT_ONCE: usize = 2;

/// Projects whose endpoints failed just now, so that one who does not answer keeps nobody waiting but its own project.
#[derive(Debug, Clone)]
pub struct Resting {
    projects: Arc<Mutex<HashMap<ProjectId, Instant>>>,
    /// Leave for sending with more time than usual.
    long: Arc<Semaphore>,
}

impl Default for Resting {
    fn default() -> Self {
        Self { projects: Arc::default(), long: Arc::new(Semaphore::new(LONG_AT_ONCE)) }
    }
}

impl Resting {
    fn rest(&self, project: &ProjectId, pause: Duration) {
        let now = Instant::now();
        let mut resting = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > now);
        resting.insert(project.clone(), now + pause);
    }

    fn left(&self, project: &ProjectId) -> Option<Duration> {
        let resting = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let left = resting.get(project)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Time for sending a parcel the `attempt`th time, and leave for it if that is long.
    fn send_time(&self, attempt: u64) -> (Duration, Option<OwnedSemaphorePermit>) {
        let leave = Some(attempt).filter(|attempt| *attempt > 1);
        let leave = leave.and_then(|_| Arc::clone(&self.long).try_acquire_owned().ok());
        (leave.as_ref().map_or(SEND_TIME, |_| send_time(attempt)), leave)
    }
}

/// What to do with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Done,
    /// Deliver it again after a while.
    Later(Duration),
}

impl SpoolSender {
    /// Takes notices until `stop` fires.
    ///
    /// # Errors
    /// [`ConsumerError`] if the consumer of the notices is gone.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let take = |notice| {
            let (this, stop) = (self.clone(), stop.clone());
            async move { this.take(notice, stop).await }
        };
        self.spool.notices().work(AT_ONCE, stop.clone(), take).await
    }

    /// Whatever is not done when the worker stops is another's at once. What is under way then may arrive twice.
    async fn take(&self, notice: Delivery, stop: CancellationToken) {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let next = tokio::select! {
            next = self.next(&notice) => next,
            () = late => Next::Later(Duration::ZERO),
        };
        let (sequence, work) = (notice.stream_sequence(), notice.processing().clone());
        let settled = match next {
            Next::Done => notice.ack().await,
            Next::Later(pause) => notice.nak((!pause.is_zero()).then_some(pause)).await,
        };
        if let Err(error) = settled {
            spans::failed(&work, spans::UNSETTLED);
            tracing::warn!(notice = sequence, %error, "a notice of spooled spans will be delivered again");
        }
    }

    async fn next(&self, notice: &Delivery) -> Next {
        let Some(parcel) = self.spool.read(notice) else { return Next::Done };
        let handled = self.handle(&parcel, notice.deliveries()).await;
        handled.unwrap_or_else(|error| {
            let (project, run) = (&parcel.ids.project_id, &parcel.ids.scenario_run_id);
            tracing::warn!(%project, %run, error = %chain(&error), "spooled spans have to wait");
            spans::failed(notice.processing(), spans::UNAVAILABLE);
            Next::Later(self.pause(notice.deliveries(), LONGEST_PAUSE))
        })
    }

    /// Sent, written down, told of, deleted, in this order: after a crash between any two of them the rest is made up for,
    /// and only what was sent and not written down is sent twice.
    async fn handle(&self, parcel: &Parcel, deliveries: u64) -> Result<Next, Unavailable> {
        let known = self.spool.ledger(&parcel.ids.key()).await?;
        let ledger = if known.has_settled(parcel) {
            known
        } else {
            match self.settle(parcel, deliveries).await? {
                Ok(settled) => self.spool.settle(parcel, settled).await?,
                Err(pause) => return Ok(Next::Later(pause)),
            }
        };
        self.spool.discard(parcel).await;
        self.tell(parcel, &ledger, deliveries).await
    }

    /// What becomes of a parcel, or when it is tried again.
    async fn settle(
        &self,
        parcel: &Parcel,
        deliveries: u64,
    ) -> Result<Result<Settled, Duration>, Unavailable> {
        if OffsetDateTime::now_utc() - parcel.at > self.retention {
            return Ok(Ok(self.give_up(parcel, "they were kept for as long as they may be")));
        }
        if let Some(left) = asked_for(parcel, OffsetDateTime::now_utc()) {
            return Ok(Err(left + self.pause(1, self.retry)));
        }
        if let Some(left) = self.resting.left(&parcel.ids.project_id) {
            return Ok(Err(left + self.pause(deliveries, self.retry)));
        }
        let Some(body) = self.spool.body(parcel).await? else {
            return Ok(Ok(self.give_up(parcel, "they are gone from the object store")));
        };
        let (time, _leave) = self.resting.send_time(deliveries);
        match self.courier.deliver(parcel, body, time).await {
            Ok(settled) => Ok(Ok(settled)),
            Err(NotDelivered::Unavailable(error)) => Err(error),
            Err(error) => Ok(Err(self.try_later(parcel, deliveries, &error))),
        }
    }

    fn give_up(&self, parcel: &Parcel, why: &str) -> Settled {
        self.metrics.spans_dropped(SpanLoss::Expired, parcel.spans);
        tracing::error!(
            project = %parcel.ids.project_id, run = %parcel.ids.scenario_run_id, spans = parcel.spans, why,
            "spooled spans of a run are given up"
        );
        let (mut failures, message) = (Vec::new(), format!("the spans are given up: {why}"));
        let failure = DeliveryFailure { kind: DeliveryFailureKind::Expired, status: None, message, spans: 0 };
        failure.blame(&mut failures, parcel.spans);
        Settled { undelivered: parcel.spans, failures, ..Settled::default() }
    }

    fn try_later(&self, parcel: &Parcel, deliveries: u64, error: &NotDelivered) -> Duration {
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        let pause = self.pause(deliveries, LONGEST_PAUSE).max(asked);
        self.resting.rest(&parcel.ids.project_id, pause.min(self.retry).max(asked));
        tracing::info!(
            project = %parcel.ids.project_id, run = %parcel.ids.scenario_run_id, spans = parcel.spans,
            kind = error.kind(), attempts = deliveries, pause_seconds = pause.as_secs(),
            "spooled spans were not taken; they are tried again"
        );
        pause
    }

    /// The event comes behind the outcome that it completes, so the last parcel of a run waits for that.
    async fn tell(
        &self,
        parcel: &Parcel,
        ledger: &SpoolLedger,
        deliveries: u64,
    ) -> Result<Next, Unavailable> {
        // Whoever settles the last one tells.
        let Some((spooled, settled)) = ledger.total() else { return Ok(Next::Done) };
        if self.publisher.outcome(&parcel.ids.key()).await?.is_none() {
            // A run that never ends is not waited for any longer than the broker has the notice.
            return Ok(Next::Later(self.pause(deliveries, LONGEST_LOOK)));
        }
        let event = event(parcel, spooled, settled);
        let published = self.publisher.telemetry_delivered(&event, parcel.trace_context.as_ref()).await;
        if published.map_err(Unavailable::from)? == Published::Stored {
            report(&event);
        }
        Ok(Next::Done)
    }

    /// Longer with every delivery.
    fn pause(&self, deliveries: u64, longest: Duration) -> Duration {
        let doublings = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX).min(u32::BITS - 1);
        let pause = self.retry.saturating_mul(2_u32.saturating_pow(doublings)).min(longest.max(self.retry));
        pause.mul_f64(rand::random_range(SHORTEST_PART..=1.0))
    }
}

/// How long the endpoint wants to be left alone, as far as it may ask for that.
fn asked_for(parcel: &Parcel, now: OffsetDateTime) -> Option<Duration> {
    let until = parcel.not_before?.min(parcel.at + LONGEST_ASKED);
    Duration::try_from(until - now).ok().filter(|left| !left.is_zero())
}

fn event(parcel: &Parcel, spooled: u64, settled: Settled) -> RunTelemetryDelivered {
    let Settled { exported, rejected, undelivered, failures: errors } = settled;
    RunTelemetryDelivered {
        ids: parcel.ids.clone(),
        trace_id: parcel.trace_id.clone(),
        spooled,
        exported,
        rejected,
        undelivered,
        errors,
        at: OffsetDateTime::now_utc(),
    }
}

fn report(event: &RunTelemetryDelivered) {
    tracing::info!(
        project = %event.ids.project_id, run = %event.ids.scenario_run_id, spooled = event.spooled,
        exported = event.exported, rejected = event.rejected, undelivered = event.undelivered,
        "all spooled spans of a run are settled"
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::events::RunIds;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn parcel(asked: Option<Duration>) -> Parcel {
        let ids = json!({ "projectId": "acme", "scenarioRunId": "r", "scenarioId": "s", "batchRunId": "b", "setId": "d" });
        let ids: RunIds = serde_json::from_value(ids).unwrap();
        let not_before = asked.map(|asked| NOW + asked);
        Parcel {
            name: "p".into(),
            ids,
            trace_id: "t".into(),
            trace_context: None,
            spans: 1,
            gzip: true,
            at: NOW,
            not_before,
        }
    }

    #[test]
    fn an_endpoint_is_left_alone_for_as_long_as_it_asked_for_and_an_hour_at_most() {
        let asked = |asked, later: Duration| asked_for(&parcel(asked), NOW + later);
        let minutes = Duration::from_mins;
        assert_eq!(asked(None, Duration::ZERO), None);
        assert_eq!(asked(Some(minutes(5)), minutes(2)), Some(minutes(3)));
        assert_eq!(asked(Some(minutes(5)), minutes(5)), None);
        assert_eq!(asked(Some(minutes(500)), minutes(1)), Some(minutes(59)));
    }

    #[test]
    fn more_time_is_for_later_attempts_and_few_at_once() {
        let resting = Resting::default();
        assert_eq!(resting.send_time(1).0, SEND_TIME);
        let held: Vec<_> = (0..LONG_AT_ONCE).map(|_| resting.send_time(2)).collect();
        assert!(held.iter().all(|(time, _)| *time == send_time(2)));
        assert_eq!(resting.send_time(3).0, SEND_TIME);
        drop(held);
        assert_eq!(resting.send_time(3).0, send_time(3));
    }
}
