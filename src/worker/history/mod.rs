//! Runs that are over are written down in the store, from the outcomes that the stream has.
//!
//! This is behind the back of runs: an outcome is an outcome when the stream has it, whatever becomes of the database. What is
//! not written down yet stays with the broker and is delivered until it is, to whichever worker is there; so a worker that is
//! lost loses nothing, and what is delivered twice is written once.

mod pruning;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::pruning::Pruning;
use self::writing::Writer;
use crate::execution::history::RunHistory;
use crate::queue::{ConsumerError, Delivery, Outcomes, spans};
use crate::telemetry::metrics::{HistoryResult, Metrics};

/// Outcomes that this process has at one time. Each may be as large as a message of the server, and is here three times over.
const AT_ONCE: usize = 32;

/// What [`History`] works with.
pub struct HistoryParts {
    /// What there is to write down; nothing where that is switched off.
    pub outcomes: Option<Outcomes>,
    /// Where it is written.
    pub history: Arc<dyn RunHistory>,
    /// Removes what is old.
    pub pruning: Pruning,
    /// What is counted.
    pub metrics: Metrics,
}

/// Writes runs down, and removes old ones.
pub struct History(HistoryParts);

/// An outcome that was delivered, with its place among those that are here.
type Arrived = (Delivery, OwnedSemaphorePermit);

impl History {
    /// Made of its parts.
    #[must_use]
    pub fn new(parts: HistoryParts) -> Self {
        Self(parts)
    }

    /// Works until `stop` fires; then what was delivered is written down, or handed back.
    ///
    /// # Errors
    /// [`ConsumerError`] if the stream of the outcomes is gone. A consumer that is gone is waited for, and made anew.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let ended = stop.child_token();
        let pruning = ended.run_until_cancelled(self.0.pruning.run());
        // Whoever waits for this hears at once that nothing can be written any more.
        let writing = self.write(stop).inspect_err(|_| ended.cancel());
        let (written, _) = tokio::join!(writing, pruning);
        written
    }

    async fn write(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let Some(outcomes) = &self.0.outcomes else { return Ok(()) };
        let (sender, arrived) = mpsc::channel(AT_ONCE);
        let mut writer = Writer::new(outcomes, self.0.history.as_ref(), &self.0.metrics);
        let take = async {
            let (consumer, room) = (outcomes.consumer(), Arc::new(Semaphore::new(AT_ONCE)));
            let missed = || self.0.metrics.history_writes(HistoryResult::Retried, 1);
            let taken = consumer.run(room, stop, hand_to(&sender, consumer.name()), missed).await;
            drop(sender);
            taken
        };
        let (taken, ()) = tokio::join!(take, writer.run(arrived));
        taken
    }
}

/// There is room for whatever has a permit.
fn hand_to(sender: &mpsc::Sender<Arrived>, group: String) -> impl Fn(Delivery, OwnedSemaphorePermit) {
    move |mut delivery, permit| {
        // The delivery keeps it.
        drop(spans::process(&mut delivery, &group));
        if let Err(error) = sender.try_send((delivery, permit)) {
            tracing::warn!(%error, "an outcome is written down when it is delivered again");
        }
    }
}

/// How long a pause is that grows with what went wrong in a row.
fn growing(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    first.saturating_mul(2_u32.saturating_pow(doublings)).min(longest)
}
