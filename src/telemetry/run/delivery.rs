//! Brings one run's spans to its endpoint, or where they are kept for later.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::account::{Account, failure};
use super::batch::encode;
use super::buffer::{SpanBuffer, Taken};
use crate::events::{DeliveryFailureKind, RunIds, RunKey, TraceContext};
use crate::execution::types::SpanCounts;
use crate::telemetry::export::{
    Accepted, Attempts, Destination, ExportError, MAX_REQUEST_BYTES, OtlpSender, STATUS_TOO_LARGE,
    SpanEnvelope,
};
use crate::telemetry::metrics::{Metrics, SpanLoss};
use crate::telemetry::spool::SpanSpool;

/// Time for a delivery between two steps of a run. Nobody waits for it, but the next one: what it did not bring is kept
/// for later then, and lost until then if the worker is.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
/// The same for an endpoint whose last answer was none, or a bad one.
const PROBE_DEADLINE: Duration = Duration::from_secs(3);
/// Time for the last delivery of a run that goes on elsewhere, or whose worker may not go on any longer.
pub const LAST_DELIVERY: Duration = Duration::from_secs(3);
/// After a failed delivery a run goes on this long before it tries again, or longer if the endpoint asks for it, so that a
/// dead endpoint is not knocked at after every step. What ends meanwhile is kept for later.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// An endpoint to which a request is too large gets smaller ones, down to this many bytes.
const LEAST_SPLIT_BYTES: usize = 64 * 1024;

/// Whose spans are delivered.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) key: RunKey,
    pub(super) ids: RunIds,
    pub(super) trace_id: String,
    /// The root's context, where events may tell it.
    pub(super) context: Option<TraceContext>,
}

/// Everything that takes part in a delivery.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) sender: OtlpSender,
    pub(super) spool: Option<Arc<dyn SpanSpool>>,
    pub(super) metrics: Metrics,
    /// Fires when the worker has no time left.
    pub(super) hurry: CancellationToken,
}

/// The delivery of one run's spans.
pub(super) struct Delivery {
    pub(super) owner: Owner,
    /// Or why there is none.
    destination: Result<Destination, NoDestination>,
    pub(super) envelope: SpanEnvelope,
    /// Bytes of spans that fit in one request.
    pub(super) room: usize,
    pub(super) means: Means,
    account: Mutex<Account>,
    /// The delivery between two steps that is under way. One at a time keeps the spans in order.
    flush: Mutex<Option<JoinHandle<()>>>,
    /// There may be more to send than the delivery under way has taken.
    more: AtomicBool,
    late_at: OnceLock<Instant>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// Why a run has no endpoint.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoDestination {
    #[error("no telemetry endpoint is configured for project {0}; its spans were not exported")]
    NotConfigured(String),
    #[error("the spans were not exported: {0}")]
    Invalid(#[from] crate::telemetry::export::InvalidDestination),
}

impl NoDestination {
    fn kind(&self) -> DeliveryFailureKind {
        match self {
            Self::NotConfigured(_) => DeliveryFailureKind::NoEndpoint,
            Self::Invalid(_) => DeliveryFailureKind::InvalidDestination,
        }
    }
}

impl Delivery {
    pub(super) fn new(
        owner: Owner,
        destination: Result<Destination, NoDestination>,
        envelope: SpanEnvelope,
        means: Means,
    ) -> Arc<Self> {
        let (account, flush, more, late_at) = Default::default();
        let room = envelope.room();
        Arc::new(Self { owner, destination, envelope, room, means, account, flush, more, late_at })
    }

    /// Begins to send what has ended. What does not arrive is put away for later, or stays in memory where nothing is.
    pub(super) fn flush(self: &Arc<Self>, buffer: &Arc<SpanBuffer>) {
        let rests = self.is_paused() && !self.keeps_steps();
        if self.destination.is_err() || rests || buffer.is_empty() {
            return;
        }
        self.more.store(true, Ordering::Release);
        let mut flush = self.flush.lock().unwrap_or_else(PoisonError::into_inner);
        if flush.as_ref().is_none_or(JoinHandle::is_finished) {
            *flush = Some(tokio::spawn(Arc::clone(self).flush_all(Arc::clone(buffer))));
        }
    }

    async fn flush_all(self: Arc<Self>, buffer: Arc<SpanBuffer>) {
        let Ok(destination) = &self.destination else { return };
        while self.more.swap(false, Ordering::AcqRel) {
            if !self.is_paused() {
                let time = if self.is_failing() { PROBE_DEADLINE } else { FLUSH_DEADLINE };
                self.deliver(&mut buffer.take(), destination, Instant::now() + time, Attempts::One).await;
            }
            if self.is_failing() {
                self.keep_step(&buffer).await;
            }
        }
    }

    /// Whether the endpoint did not take the last request.
    fn is_failing(&self) -> bool {
        self.account().paused_until.is_some()
    }

    fn is_paused(&self) -> bool {
        self.account().paused_until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the endpoint wants to hear more; false if that is not before `until`.
    async fn may_post(&self, until: Instant) -> bool {
        let asked = self.account().asked_until.map(|asked| asked.until);
        if asked.is_some_and(|asked| asked >= until) {
            return false;
        }
        if let Some(asked) = asked {
            sleep_until(asked).await;
        }
        Instant::now() < until
    }

    /// Sends what is left until `deadline` has passed, or sooner if the worker stops meanwhile, and has the rest kept for
    /// later. `made` is how many spans there are.
    pub(super) async fn finish(&self, buffer: &SpanBuffer, deadline: Duration, made: u64) -> SpanCounts {
        let destination = match &self.destination {
            Ok(destination) => destination,
            Err(reason) => return self.nowhere(reason, made),
        };
        let spool_time = self.spool_time(deadline);
        let until = Instant::now() + deadline.saturating_sub(spool_time);
        self.end_flush(until).await;
        let sending = async {
            self.deliver(&mut buffer.take(), destination, until, Attempts::Several).await;
        };
        tokio::select! {
            () = sending => {}
            () = self.out_of_time() => self.cut_short(),
        }
        self.keep_rest(buffer.take(), spool_time).await;
        self.settle(made, buffer.dropped())
    }

    /// Waits for the delivery under way. What it has not sent by then is in the buffer again.
    async fn end_flush(&self, until: Instant) {
        let flush = self.flush.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut flush) = flush else { return };
        tokio::select! {
            _ = &mut flush => return,
            () = sleep_until(until) => {}
            () = self.out_of_time() => {}
        }
        flush.abort();
        // Its end is all that matters: what went wrong in it is in the account.
        drop(flush.await);
    }

    /// Ends when the worker has stopped so long ago that no delivery may go on.
    async fn out_of_time(&self) {
        self.means.hurry.cancelled().await;
        sleep_until(*self.late_at.get_or_init(|| Instant::now() + LAST_DELIVERY)).await;
    }

    fn cut_short(&self) {
        let kind = DeliveryFailureKind::WorkerStops;
        self.means.metrics.export_failed(kind.as_str());
        let text = "the worker stopped before the endpoint had answered".to_owned();
        self.account().cut_off(failure(kind, text));
    }

    /// What became so far of `made` spans, of which somebody may have to say later what became of the rest.
    pub(super) fn so_far(&self, made: u64) -> SpanCounts {
        self.account().counts(made)
    }

    /// Spans were still open when the run was over: somebody works on for a run that is not there any more.
    pub(super) fn left_open(&self, count: usize) {
        if count > 0 {
            tracing::warn!(
                project = %self.owner.key.project, run = %self.owner.key.run, count,
                "spans of a run were still open at its end; they were ended as abandoned"
            );
        }
    }

    /// The trace was dropped before it was finished.
    pub(super) fn unfinished(&self, made: u64) {
        let so_far = self.so_far(made);
        if let Some(flush) = self.flush.lock().unwrap_or_else(PoisonError::into_inner).take() {
            flush.abort();
        }
        if self.destination.is_ok() {
            self.means.metrics.spans_dropped(SpanLoss::Unfinished, so_far.unconfirmed());
        }
        tracing::warn!(
            project = %self.owner.key.project, run = %self.owner.key.run, spans = made,
            exported = so_far.exported, spooled = so_far.spooled, "a run's trace was dropped before it was finished"
        );
    }

    async fn deliver(
        &self,
        taken: &mut Taken<'_>,
        destination: &Destination,
        until: Instant,
        attempts: Attempts,
    ) {
        let mut limit = self.room;
        while self.may_post(until).await {
            let Some(batch) = taken.next_batch(limit) else { return };
            let spans = batch.len();
            let body = encode(&self.envelope, batch);
            let (bytes, left) = (body.len(), until.saturating_duration_since(Instant::now()));
            let result = self.send(destination, body, left, attempts).await;
            if spans > 1 && bytes > LEAST_SPLIT_BYTES && is_too_large(&result) {
                limit = bytes / 2;
                taken.unpack_batch();
            } else if self.record(taken, result) == Arrival::Missing && attempts == Attempts::One {
                // Another step comes, and with it another delivery.
                return;
            }
        }
    }

    async fn send(
        &self,
        destination: &Destination,
        body: Vec<u8>,
        left: Duration,
        attempts: Attempts,
    ) -> Result<Accepted, ExportError> {
        let (bytes, limit) = (body.len(), MAX_REQUEST_BYTES);
        if bytes > limit {
            return Err(ExportError::TooLarge { bytes, limit });
        }
        self.means.sender.send(&self.owner.key.project, destination, body, left, attempts).await
    }

    fn record(&self, taken: &mut Taken<'_>, result: Result<Accepted, ExportError>) -> Arrival {
        let error = match result {
            Ok(accepted) => {
                self.accept(taken.settle_batch(), accepted);
                return Arrival::Settled;
            }
            Err(error) => error,
        };
        self.means.metrics.export_failed(error.kind().as_str());
        if let Some(refused) = error.refused(taken.batch_len()) {
            let sent = taken.settle_batch();
            self.accept(sent - refused, Accepted::default());
            self.refuse(&error, refused);
            return Arrival::Settled;
        }
        taken.fail_batch();
        self.miss(&error);
        Arrival::Missing
    }

    fn accept(&self, spans: u64, accepted: Accepted) {
        self.means.metrics.spans_exported(spans);
        self.account().accept(spans, accepted.warning);
    }

    /// Never sent again: some of these spans are there, or can never be.
    fn refuse(&self, error: &ExportError, spans: u64) {
        let loss = if error.is_refusal() { SpanLoss::Rejected } else { SpanLoss::Undelivered };
        self.means.metrics.spans_dropped(loss, spans);
        self.account().refuse(error, spans);
    }

    fn miss(&self, error: &ExportError) {
        if self.account().attempt_failed(error, PAUSE_AFTER_FAILURE) {
            let (kind, status) = (error.kind().as_str(), error.status());
            tracing::warn!(
                project = %self.owner.key.project, run = %self.owner.key.run, kind, status,
                "an export of a run's spans failed; it is tried again until the run ends, and its outcome says more"
            );
        }
    }

    fn settle(&self, made: u64, overflowed: u64) -> SpanCounts {
        self.means.metrics.spans_dropped(SpanLoss::BufferFull, overflowed);
        let mut account = self.account();
        let text = "spans were dropped because the run's buffer was full".to_owned();
        account.give_up(failure(DeliveryFailureKind::BufferFull, text), overflowed);
        let counts = account.close(made);
        if counts.exported < made {
            let first = counts.failures.first();
            tracing::warn!(
                project = %self.owner.key.project, run = %self.owner.key.run,
                spans = made, exported = counts.exported, rejected = counts.rejected,
                spooled = counts.spooled, undelivered = counts.undelivered,
                kind = first.map(|f| f.kind.as_str()), status = first.and_then(|f| f.status),
                "not every span of a run was exported; the reason is in its outcome"
            );
        }
        counts
    }

    fn nowhere(&self, reason: &NoDestination, made: u64) -> SpanCounts {
        if let NoDestination::Invalid(error) = reason {
            self.means.metrics.export_failed(reason.kind().as_str());
            let RunKey { project, run } = &self.owner.key;
            tracing::warn!(%project, %run, %error, "a run's spans have no way out");
        }
        let mut account = self.account();
        account.give_up(failure(reason.kind(), reason.to_string()), made);
        account.close(made)
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a batch is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Settled,
    Missing,
}

fn is_too_large(result: &Result<Accepted, ExportError>) -> bool {
    matches!(result, Err(ExportError::Status { status: STATUS_TOO_LARGE, .. }))
}
