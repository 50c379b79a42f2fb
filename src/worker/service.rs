//! The worker's life: pull while there is room, then finish or hand back, then stop.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::processor::Processor;
use super::{GivenUp, History, Listening, Sink, SpoolSender};
use crate::queue::{Cancellations, Consumer, ConsumerError, LONGEST_CLOSE};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::run::LAST_DELIVERY;

/// How long a run may take to be handed back, or to publish its outcome, beside delivering its spans.
const HAND_BACK_TIME: Duration = Duration::from_secs(5);
/// Time for what goes on beside the runs when these are done with: cancel requests and dead letters under way. What is
/// not finished is delivered again.
const WIND_UP_TIME: Duration = Duration::from_secs(5);

/// Why a worker stopped that was not told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The consumer cannot go on.
    #[error("the worker cannot pull requests any more")]
    Consumer(#[from] ConsumerError),
}

/// A worker that pulls requests and plays them.
pub struct Service {
    /// Where requests come from.
    pub consumer: Consumer,
    /// Where cancel requests come from.
    pub cancellations: Cancellations,
    /// What the server gave up on.
    pub given_up: GivenUp,
    /// What endpoints have not taken.
    pub spooled: SpoolSender,
    /// Who tells platforms of runs.
    pub sink: Sink,
    /// Who writes runs down.
    pub history: History,
    /// What is done with requests.
    pub processor: Arc<Processor>,
    /// Runs in flight at most.
    pub concurrency: usize,
    /// How long runs may go on after the stop.
    pub drain: Duration,
    /// Fires when runs are to be handed back; the processor listens to it, and so do the traces.
    pub hand_back: CancellationToken,
    /// What is counted.
    pub metrics: Metrics,
}

/// How much longer than its drain time [`Service::run`] takes at most from its stop to its end.
pub const LONGEST_STOP_AFTER_DRAIN: Duration =
    LONGEST_CLOSE.saturating_add(LAST_DELIVERY).saturating_add(HAND_BACK_TIME).saturating_add(WIND_UP_TIME);

impl Service {
    /// Pulls and plays, and answers who asks, until `stop` fires, then lets runs finish or hands them back.
    ///
    /// # Errors
    /// [`ServiceError`] if a consumer fails for good; runs under way are finished or handed back all the same.
    pub async fn run(self, endpoints: Listening, stop: CancellationToken) -> Result<(), ServiceError> {
        let tracker = TaskTracker::new();
        let busy = tracker.clone();
        self.metrics.observe_permits(self.concurrency, move || busy.len());
        let pulling = stop.child_token();
        let beside = CancellationToken::new();
        let (pulled, cancelled, given_up, spooled, told, recorded, ()) = tokio::join!(
            self.play(&tracker, &pulling).inspect(|_| beside.cancel()),
            // A worker that cannot hear cancel requests must not take new runs.
            wound_up(self.cancellations.run(beside.clone()), &beside).inspect(|_| pulling.cancel()),
            wound_up(self.given_up.run(beside.clone()), &beside).inspect(|_| pulling.cancel()),
            wound_up(self.spooled.run(beside.clone()), &beside).inspect(|_| pulling.cancel()),
            wound_up(self.sink.run(beside.clone()), &beside).inspect(|_| pulling.cancel()),
            wound_up(self.history.run(beside.clone()), &beside).inspect(|_| pulling.cancel()),
            // Who asks while this worker drains is answered by another.
            endpoints.run(pulling.clone()),
        );
        Ok(pulled.and(cancelled).and(given_up).and(spooled).and(told).and(recorded)?)
    }

    /// Pulls until `stop` fires, and drains. The time for that begins with the stop: closing the last pull is part of it.
    async fn play(&self, tracker: &TaskTracker, stop: &CancellationToken) -> Result<(), ConsumerError> {
        let (pulled, stopped_at) = tokio::join!(
            self.pull(tracker, stop.clone()).inspect(|_| stop.cancel()),
            stop.cancelled().map(|()| Instant::now()),
        );
        self.drain(tracker, stopped_at + self.drain).await;
        pulled
    }

    async fn pull(&self, tracker: &TaskTracker, stop: CancellationToken) -> Result<(), ConsumerError> {
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let take = |delivery, slot| {
            let processor = Arc::clone(&self.processor);
            tracker.spawn(async move {
                processor.process(delivery).await;
                drop(slot);
            });
        };
        self.consumer.run(slots, stop, take).await
    }

    async fn drain(&self, tracker: &TaskTracker, until: Instant) {
        tracker.close();
        tracing::info!(runs = tracker.len(), seconds = self.drain.as_secs(), "no new work; runs may finish");
        if tokio::time::timeout_at(until, tracker.wait()).await.is_ok() {
            return;
        }
        tracing::info!(runs = tracker.len(), "the time is up; runs are handed back");
        self.hand_back.cancel();
        if tokio::time::timeout(LAST_DELIVERY + HAND_BACK_TIME, tracker.wait()).await.is_err() {
            tracing::error!(
                runs = tracker.len(),
                "runs did not stop in time; the server delivers them again"
            );
        }
    }
}

/// What goes on beside the runs, and has only so long to finish once it is `told` to stop.
async fn wound_up(
    side: impl Future<Output = Result<(), ConsumerError>>,
    told: &CancellationToken,
) -> Result<(), ConsumerError> {
    let late = async {
        told.cancelled().await;
        tokio::time::sleep(WIND_UP_TIME).await;
    };
    tokio::select! {
        ended = side => ended,
        () = late => {
            tracing::warn!("cancel requests or dead letters under way are left to the next worker: the broker does not answer");
            Ok(())
        }
    }
}
