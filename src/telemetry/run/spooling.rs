//! What the endpoint did not take is kept for later: step by step while it does not, and the rest at the end.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::batch::encode;
use super::buffer::{SpanBuffer, Taken};
use super::delivery::Delivery;
use crate::events::DeliveryFailureKind;
use crate::telemetry::export::{Packed, compress};
use crate::telemetry::metrics::SpanLoss;
use crate::telemetry::spool::{NotKept, Parcel, SpanSpool};
use crate::text::chain;

/// Time for putting away what is left, out of the time that a run has for its delivery. While an endpoint is away, all runs
/// that end do this at once: two thousand of them on one broker need more than two seconds.
const SPOOL_TIME: Duration = Duration::from_secs(5);
/// It gets no more than this part of that.
const SPOOL_PART: u32 = 4;

impl Delivery {
    /// How much of `deadline` is left for putting spans away.
    pub(super) fn spool_time(&self, deadline: Duration) -> Duration {
        let time = SPOOL_TIME.min(deadline / SPOOL_PART);
        self.means.spool.as_ref().map_or(Duration::ZERO, |_| time)
    }

    /// Whether the spans of a step may be put away now.
    pub(super) fn keeps_steps(&self) -> bool {
        self.means.spool.is_some() && self.account().steps.may_make()
    }

    /// Puts away what has ended while the endpoint does not take it, so that it outlives this worker.
    pub(super) async fn keep_step(&self, buffer: &Arc<SpanBuffer>) {
        let Some(spool) = self.means.spool.as_ref().filter(|_| self.keeps_steps()) else { return };
        let (mut taken, until) = (buffer.take(), Instant::now() + SPOOL_TIME);
        // Those in doubt are put away again: twice is better than never.
        let kept = self.keep_batches(&mut taken, spool.as_ref(), until).await;
        drop(taken);
        self.account().steps.made(kept == Kept::All);
    }

    /// Has everything in `taken` kept for later, and gives up what cannot be kept within `time`.
    pub(super) async fn keep_rest(&self, mut taken: Taken<'_>, time: Duration) {
        if let Some(spool) = &self.means.spool
            && self.keep_batches(&mut taken, spool.as_ref(), Instant::now() + time).await == Kept::InDoubt
        {
            self.doubt(taken.settle_batch());
        }
        let lost = taken.give_up();
        self.means.metrics.spans_dropped(SpanLoss::Undelivered, lost);
        self.account().give_up_rest(lost);
    }

    /// What is not kept stays in `taken`.
    async fn keep_batches(&self, taken: &mut Taken<'_>, spool: &dyn SpanSpool, until: Instant) -> Kept {
        while let Some(batch) = taken.next_batch(self.room) {
            let body = encode(&self.envelope, batch);
            let (packed, spans) = (compress(body).await, taken.batch_len());
            match timeout_at(until, spool.keep(&self.parcel(spans, &packed), &packed)).await {
                Ok(Ok(())) => self.kept(taken.settle_batch()),
                Ok(Err(error)) => {
                    self.not_kept(&error, spans);
                    return Kept::NotAll;
                }
                Err(_) => return Kept::InDoubt,
            }
        }
        Kept::All
    }

    fn kept(&self, spans: u64) {
        self.means.metrics.spans_spooled(spans);
        self.account().keep(spans);
    }

    /// At the end: what was begun may be done all the same, and nobody will know.
    fn doubt(&self, spans: u64) {
        self.means.metrics.export_failed(DeliveryFailureKind::Spool.as_str());
        tracing::warn!(
            project = %self.owner.key.project, run = %self.owner.key.run, spans,
            "time ran out while spans of a run were being kept for later; they may be"
        );
        self.account().doubt(spans);
    }

    /// The spans stay where they are.
    fn not_kept(&self, error: &NotKept, spans: u64) {
        self.means.metrics.export_failed(DeliveryFailureKind::Spool.as_str());
        if self.account().not_kept(error.told()) {
            let error = chain(error);
            tracing::warn!(
                project = %self.owner.key.project, run = %self.owner.key.run, spans, error,
                "spans of a run could not be kept for later"
            );
        }
    }

    fn parcel(&self, spans: u64, packed: &Packed) -> Parcel {
        Parcel {
            name: Uuid::new_v4().simple().to_string(),
            ids: self.owner.ids.clone(),
            trace_id: self.owner.trace_id.clone(),
            trace_context: self.owner.context.clone(),
            spans,
            gzip: packed.gzip,
            at: OffsetDateTime::now_utc(),
            not_before: self.account().asked_until.map(|asked| asked.at),
        }
    }
}

/// Whether spans are kept for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    NotAll,
    /// Time ran out: the batch that was under way may be.
    InDoubt,
}
