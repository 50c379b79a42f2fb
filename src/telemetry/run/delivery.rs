//! Brings one run's spans to its endpoint and keeps account of them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::buffer::{SpanBuffer, Taken};
use crate::events::RunKey;
use crate::telemetry::export::{Destination, ExportError, MAX_REQUEST_BYTES, OtlpSender, SpanEnvelope};
use crate::telemetry::metrics::{Metrics, SpanLoss};

/// Time for a delivery between two steps of a run: the conversation waits for it, so it is short.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);
/// Time for the last delivery of a run that goes on elsewhere, or whose worker may not go on any longer.
pub const LAST_DELIVERY: Duration = Duration::from_secs(3);
/// Kind of failure: the worker had no more time.
const WORKER_STOPS: &str = "worker_stops";
/// After a failed delivery a run goes on this long before it tries again, so that a dead endpoint slows no conversation.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What may go on after a batch that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// Keep the rest for later.
    Stop,
    /// Try the rest: there is no later.
    GoOn,
}

/// The delivery of one run's spans.
#[derive(Debug)]
pub(super) struct Delivery {
    run: RunKey,
    /// Or why there is none.
    destination: Result<Destination, NoDestination>,
    envelope: SpanEnvelope,
    sender: OtlpSender,
    metrics: Metrics,
    /// Fires when the worker has no time left.
    hurry: CancellationToken,
    account: Mutex<Account>,
    /// One delivery at a time keeps the spans in order.
    turn: tokio::sync::Mutex<()>,
}

/// Why a run has no endpoint.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoDestination {
    #[error("no telemetry endpoint is configured for project {0}; its spans were not exported")]
    NotConfigured(String),
    #[error("the spans were not exported: {0}")]
    Invalid(#[from] crate::telemetry::export::InvalidDestination),
}

#[derive(Debug, Default)]
struct Account {
    exported: u64,
    last_failure: Option<Failure>,
    paused_until: Option<Instant>,
}

/// A failure as the receipt and the log tell it. The log gets no body: an endpoint may echo the run's data.
#[derive(Debug)]
struct Failure {
    text: String,
    kind: &'static str,
    status: Option<u16>,
}

/// What became of the spans in the end.
pub(super) struct Delivered {
    pub(super) exported: u64,
    pub(super) error: Option<String>,
}

impl Delivery {
    pub(super) fn new(
        run: RunKey,
        destination: Result<Destination, NoDestination>,
        envelope: SpanEnvelope,
        sender: OtlpSender,
        metrics: Metrics,
        hurry: CancellationToken,
    ) -> Self {
        let (account, turn) = Default::default();
        Self { run, destination, envelope, sender, metrics, hurry, account, turn }
    }

    /// Sends what has ended. What does not arrive is kept.
    pub(super) async fn flush(&self, buffer: &SpanBuffer) {
        let (Ok(destination), Ok(_turn)) = (&self.destination, self.turn.try_lock()) else { return };
        if self.account().paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let mut taken = buffer.take();
        self.deliver(&mut taken, destination, FLUSH_DEADLINE, OnFailure::Stop).await;
    }

    /// Sends what is left until `deadline` has passed, or sooner if the worker stops meanwhile, and gives up the rest.
    /// `made` is how many spans there are.
    pub(super) async fn finish(&self, buffer: &SpanBuffer, deadline: Duration, made: u64) -> Delivered {
        let destination = match &self.destination {
            Ok(destination) => destination,
            Err(reason) => return self.nowhere(reason),
        };
        let start = Instant::now();
        let _turn = self.turn.lock().await;
        let mut taken = buffer.take();
        let left = deadline.saturating_sub(start.elapsed());
        let delivered = self.deliver(&mut taken, destination, left, OnFailure::GoOn);
        tokio::select! {
            () = delivered => {}
            () = self.out_of_time() => self.cut_short(),
        }
        self.metrics.spans_dropped(SpanLoss::Undelivered, taken.give_up());
        self.metrics.spans_dropped(SpanLoss::BufferFull, buffer.dropped());
        self.settle(made, buffer.dropped())
    }

    /// Ends when the worker has stopped so long ago that no delivery may go on.
    async fn out_of_time(&self) {
        self.hurry.cancelled().await;
        tokio::time::sleep(LAST_DELIVERY).await;
    }

    fn cut_short(&self) {
        self.metrics.export_failed(WORKER_STOPS);
        let text = "the worker stopped before the endpoint had answered".to_owned();
        self.account().last_failure.get_or_insert(Failure { text, kind: WORKER_STOPS, status: None });
    }

    /// Spans that the endpoint accepted so far.
    pub(super) fn exported(&self) -> u64 {
        self.account().exported
    }

    /// Spans were still open when the run was over: somebody works on for a run that is not there any more.
    pub(super) fn left_open(&self, count: usize) {
        if count > 0 {
            tracing::warn!(
                project = %self.run.project, run = %self.run.run, count,
                "spans of a run were still open at its end; they were ended as abandoned"
            );
        }
    }

    /// The trace was dropped before it was finished.
    pub(super) fn unfinished(&self, made: u64) {
        let exported = self.account().exported;
        if self.destination.is_ok() {
            self.metrics.spans_dropped(SpanLoss::Unfinished, made.saturating_sub(exported));
        }
        tracing::warn!(
            project = %self.run.project, run = %self.run.run, spans = made, exported,
            "a run's trace was dropped before it was finished"
        );
    }

    async fn deliver(
        &self,
        taken: &mut Taken<'_>,
        destination: &Destination,
        deadline: Duration,
        on_failure: OnFailure,
    ) {
        let end = Instant::now() + deadline;
        while let Some(batch) = taken.next_batch(MAX_REQUEST_BYTES) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let body = self.envelope.encode(batch);
            let result = match too_large(taken.largest()) {
                Some(error) => Err(error),
                None => self.sender.send(destination, body, left).await,
            };
            if self.record(taken, result) == Arrival::Missing && on_failure == OnFailure::Stop {
                return;
            }
        }
    }

    fn record(&self, taken: &mut Taken<'_>, result: Result<(), ExportError>) -> Arrival {
        let Err(error) = result else {
            self.accept(taken.settle_batch(), 0);
            return Arrival::Settled;
        };
        // Never sent again: some of these spans are there, or can never be.
        let refused = match &error {
            ExportError::Partial { rejected, .. } => Some(*rejected),
            ExportError::TooLarge { .. } => Some(u64::MAX),
            _ => None,
        };
        let arrival = if let Some(refused) = refused {
            self.accept(taken.settle_batch(), refused);
            Arrival::Settled
        } else {
            taken.fail_batch();
            Arrival::Missing
        };
        self.fail(&error, arrival);
        arrival
    }

    fn accept(&self, sent: u64, rejected: u64) {
        let rejected = rejected.min(sent);
        let accepted = sent - rejected;
        let mut account = self.account();
        account.exported += accepted;
        account.paused_until = None;
        self.metrics.spans_exported(accepted);
        self.metrics.spans_dropped(SpanLoss::Rejected, rejected);
    }

    fn fail(&self, error: &ExportError, arrival: Arrival) {
        let (kind, status) = (error.kind(), error.status());
        self.metrics.export_failed(kind);
        let mut account = self.account();
        if account.last_failure.is_none() {
            tracing::warn!(
                project = %self.run.project, run = %self.run.run, kind, status,
                "an export of a run's spans failed; it is tried again until the run ends, and its outcome says more"
            );
        }
        account.last_failure = Some(Failure { text: error.describe(), kind, status });
        if arrival == Arrival::Missing {
            account.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
        }
    }

    fn settle(&self, made: u64, overflowed: u64) -> Delivered {
        let account = self.account();
        let exported = account.exported;
        if exported >= made {
            return Delivered { exported, error: None };
        }
        let (kind, status) =
            account.last_failure.as_ref().map_or(("buffer_full", None), |f| (f.kind, f.status));
        tracing::warn!(
            project = %self.run.project, run = %self.run.run, spans = made, exported, kind, status,
            "not every span of a run was exported; the reason is in its outcome"
        );
        let failure = account.last_failure.as_ref().map(|failure| failure.text.clone());
        let overflow = (overflowed > 0)
            .then(|| format!("{overflowed} spans were dropped because the run's buffer was full"));
        let reasons: Vec<String> = failure.into_iter().chain(overflow).collect();
        Delivered { exported, error: Some(reasons.join("; ")) }
    }

    fn nowhere(&self, reason: &NoDestination) -> Delivered {
        if let NoDestination::Invalid(error) = reason {
            self.metrics.export_failed("invalid_destination");
            tracing::warn!(project = %self.run.project, run = %self.run.run, %error, "a run's spans have no way out");
        }
        Delivered { exported: 0, error: Some(reason.to_string()) }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a batch is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Settled,
    Missing,
}

fn too_large(bytes: usize) -> Option<ExportError> {
    (bytes > MAX_REQUEST_BYTES).then_some(ExportError::TooLarge { bytes, limit: MAX_REQUEST_BYTES })
}
