//! The worker's life: pull while there is room, then finish or hand back, then stop.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::GivenUp;
use super::processor::Processor;
use crate::queue::{Cancellations, Consumer, ConsumerError};

/// How long a run may take to be handed back, beside delivering its spans.
const HAND_BACK_TIME: Duration = Duration::from_secs(5);

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
    /// What is done with requests.
    pub processor: Arc<Processor>,
    /// Runs in flight at most.
    pub concurrency: usize,
    /// How long runs may go on after the stop.
    pub drain: Duration,
    /// How long a run that is handed back may take to deliver its spans.
    pub telemetry_deadline: Duration,
    /// Fires when runs are to be handed back; the processor listens to it.
    pub hand_back: CancellationToken,
}

impl Service {
    /// Pulls and plays until `stop` fires, then lets runs finish or hands them back.
    ///
    /// # Errors
    /// [`ServiceError`] if the consumer fails for good; runs under way are finished or handed back all the same.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServiceError> {
        let tracker = TaskTracker::new();
        let pulling = stop.child_token();
        let beside = CancellationToken::new();
        let (pulled, cancelled, given_up) = tokio::join!(
            async {
                let pulled = self.pull(&tracker, pulling.clone()).await;
                self.drain(&tracker).await;
                beside.cancel();
                pulled
            },
            // A worker that cannot hear cancel requests must not take new runs.
            self.cancellations.run(beside.clone()).inspect(|_| pulling.cancel()),
            self.given_up.run(beside.clone()).inspect(|_| pulling.cancel()),
        );
        Ok(pulled.and(cancelled).and(given_up)?)
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

    async fn drain(&self, tracker: &TaskTracker) {
        tracker.close();
        tracing::info!(runs = tracker.len(), seconds = self.drain.as_secs(), "no new work; runs may finish");
        if tokio::time::timeout(self.drain, tracker.wait()).await.is_ok() {
            return;
        }
        tracing::info!(runs = tracker.len(), "the time is up; runs are handed back");
        self.hand_back.cancel();
        if tokio::time::timeout(self.telemetry_deadline + HAND_BACK_TIME, tracker.wait()).await.is_err() {
            tracing::error!(
                runs = tracker.len(),
                "runs did not stop in time; the server delivers them again"
            );
        }
    }
}
