//! Outcomes become rows: many in one statement where there are many.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{AT_ONCE, Arrived, growing};
use crate::events::RunCompleted;
use crate::execution::failure::Unavailable;
use crate::execution::history::{RecordError, RunHistory, RunRecord};
use crate::queue::Outcomes;
use crate::telemetry::metrics::{HistoryResult, Metrics};
use crate::text::chain;

/// Bytes of outcomes that are written in one statement, about: few large ones, many small ones.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Time for one statement; then it counts as failed. What is here must be done with while it is this worker's, see
/// [`crate::queue::topology::HISTORY_DURABLE`].
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause before a database that failed is tried again, and the longest one: it doubles with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause before something is tried again that the database does not take, or that only a newer worker can read.
const REFUSED_PAUSE: Duration = Duration::from_mins(10);
/// Which part of a pause it is at least: what failed together does not come back together.
const SHORTEST_PART: f64 = 0.5;

/// Writes what arrives.
pub(super) struct Writer<'a> {
    outcomes: &'a Outcomes,
    history: &'a dyn RunHistory,
    metrics: &'a Metrics,
    /// In a row.
    failures: u32,
    /// Until then the database is left alone.
    resting_until: Option<Instant>,
}

/// An outcome that can be written down.
struct Legible {
    arrived: Arrived,
    record: RunRecord,
}

impl<'a> Writer<'a> {
    pub(super) fn new(outcomes: &'a Outcomes, history: &'a dyn RunHistory, metrics: &'a Metrics) -> Self {
        Self { outcomes, history, metrics, failures: 0, resting_until: None }
    }

    /// Writes until nothing can arrive any more. What comes while something is written is the next batch.
    pub(super) async fn run(&mut self, mut arrived: mpsc::Receiver<Arrived>) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        while arrived.recv_many(&mut batch, AT_ONCE).await > 0 {
            let mut legible = Vec::with_capacity(batch.len());
            for one in batch.drain(..) {
                legible.extend(self.read(one).await);
            }
            for part in parts(legible) {
                self.write(part).await;
            }
        }
    }

    /// What cannot be read may be a newer worker's, which can.
    async fn read(&self, arrived: Arrived) -> Option<Legible> {
        let payload = arrived.0.payload();
        let read = (serde_json::from_slice(payload), String::from_utf8(payload.to_vec()));
        let (Ok(outcome), Ok(document)) = read else {
            let subject = arrived.0.subject();
            tracing::warn!(subject, "an outcome cannot be read, so it is not in the history");
            self.hand_back(arrived, REFUSED_PAUSE, HistoryResult::Refused).await;
            return None;
        };
        match self.completed(RunRecord { outcome, document }).await {
            Ok(record) => Some(Legible { arrived, record }),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "a transcript has to wait for the broker");
                self.hand_back(arrived, LONGEST_PAUSE, HistoryResult::Retried).await;
                None
            }
        }
    }

    /// The transcript that the outcome had no room for, if the stream still has it. A row has the room.
    async fn completed(&self, record: RunRecord) -> Result<RunRecord, Unavailable> {
        if record.outcome.messages.is_some() || !record.outcome.messages_truncated {
            return Ok(record);
        }
        let Some(messages) = self.outcomes.transcript(&record.outcome.ids.key()).await? else {
            return Ok(record);
        };
        let outcome =
            RunCompleted { messages: Some(messages), messages_truncated: false, ..record.outcome.clone() };
        Ok(match serde_json::to_string(&outcome) {
            Ok(document) => RunRecord { outcome, document },
            Err(_) => record,
        })
    }

    async fn write(&mut self, batch: Vec<Legible>) {
        let (arrived, records): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|one| (one.arrived, one.record)).unzip();
        if let Some(left) = self.resting() {
            return self.give_all_back(arrived, left, HistoryResult::Retried).await;
        }
        match self.record(&records).await {
            Ok(new) => self.written(arrived, new).await,
            Err(RecordError::Refused(_)) if records.len() > 1 => self.write_each(arrived, records).await,
            Err(RecordError::Refused(error)) => {
                tracing::error!(error = %chain(&error), "the database does not take a run");
                self.give_all_back(arrived, REFUSED_PAUSE, HistoryResult::Refused).await;
            }
            Err(RecordError::Unavailable(error)) => {
                let pause = self.failed(&error);
                self.give_all_back(arrived, pause, HistoryResult::Retried).await;
            }
        }
    }

    /// So that one that is refused is in nobody's way.
    async fn write_each(&mut self, arrived: Vec<Arrived>, records: Vec<RunRecord>) {
        for (arrived, record) in arrived.into_iter().zip(records) {
            Box::pin(self.write(vec![Legible { arrived, record }])).await;
        }
    }

    async fn record(&self, records: &[RunRecord]) -> Result<u64, RecordError> {
        let written = timeout(PATIENCE, self.history.record(records)).await;
        written.unwrap_or_else(|late| {
            Err(RecordError::Unavailable(Unavailable::new(
                format!("writing down {} runs", records.len()),
                late,
            )))
        })
    }

    async fn written(&mut self, arrived: Vec<Arrived>, new: u64) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("runs are written down again");
        }
        self.resting_until = None;
        let known = (arrived.len() as u64).saturating_sub(new);
        self.metrics.history_writes(HistoryResult::Stored, new);
        self.metrics.history_writes(HistoryResult::Known, known);
        let acknowledged = arrived.into_iter().map(|(delivery, permit)| async move {
            settled(delivery.ack().await);
            drop(permit);
        });
        futures::future::join_all(acknowledged).await;
    }

    /// Says how long the database is left alone.
    fn failed(&mut self, error: &Unavailable) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = growing(FIRST_PAUSE, LONGEST_PAUSE, self.failures);
        self.resting_until = Some(Instant::now() + pause);
        if self.failures == 1 {
            tracing::warn!(error = %chain(error), "runs are not written down at present; the broker keeps them");
        } else {
            tracing::debug!(error = %chain(error), failures = self.failures, "runs are still not written down");
        }
        pause
    }

    fn resting(&self) -> Option<Duration> {
        let left = self.resting_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    async fn give_all_back(&self, arrived: Vec<Arrived>, pause: Duration, result: HistoryResult) {
        let all = arrived.into_iter().map(|one| self.hand_back(one, pause, result));
        futures::future::join_all(all).await;
    }

    async fn hand_back(&self, (delivery, permit): Arrived, pause: Duration, result: HistoryResult) {
        self.metrics.history_writes(result, 1);
        // Never before the pause is over, and not all at once.
        let pause = pause + FIRST_PAUSE.mul_f64(rand::random_range(SHORTEST_PART..=1.0));
        settled(delivery.nak(Some(pause)).await);
        drop(permit);
    }
}

fn settled(result: Result<(), crate::queue::SettleError>) {
    if let Err(error) = result {
        tracing::debug!(%error, "an outcome is delivered again, and written once all the same");
    }
}

/// The batch in pieces that one statement may have.
fn parts(batch: Vec<Legible>) -> Vec<Vec<Legible>> {
    let (mut parts, mut bytes) = (Vec::<Vec<Legible>>::new(), 0);
    for one in batch {
        let size = one.record.document.len();
        if parts.is_empty() || bytes + size > BATCH_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts
}
