//! The end of a delivery that the endpoint did not take: what is left is kept for later.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::account::failure;
use super::batch::encode;
use super::buffer::Taken;
use super::delivery::Delivery;
use crate::events::DeliveryFailureKind;
use crate::execution::failure::Unavailable;
use crate::telemetry::export::{Packed, compress};
use crate::telemetry::metrics::SpanLoss;
use crate::telemetry::spool::{Parcel, SpanSpool};
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

    /// Has everything in `taken` kept for later, and gives up what cannot be kept within `time`.
    pub(super) async fn keep_rest(&self, mut taken: Taken<'_>, time: Duration) {
        if let Some(spool) = &self.means.spool {
            self.keep_batches(&mut taken, spool.as_ref(), Instant::now() + time).await;
        }
        let lost = taken.give_up();
        self.means.metrics.spans_dropped(SpanLoss::Undelivered, lost);
        self.account().blame_last(lost);
    }

    async fn keep_batches(&self, taken: &mut Taken<'_>, spool: &dyn SpanSpool, until: Instant) {
        while let Some(batch) = taken.next_batch(self.room) {
            let body = encode(&self.envelope, batch);
            let (packed, spans) = (compress(body).await, taken.batch_len());
            let kept = timeout_at(until, spool.keep(&self.parcel(spans, &packed), &packed)).await;
            match kept {
                Ok(Ok(())) => self.kept(taken.settle_batch()),
                Ok(Err(error)) => return self.not_kept(&error, spans),
                // What was begun may be done all the same.
                Err(_) => return self.doubt(taken.settle_batch()),
            }
        }
    }

    fn kept(&self, spans: u64) {
        self.means.metrics.spans_spooled(spans);
        let mut account = self.account();
        account.spooled += spans;
        account.blame_last(spans);
    }

    fn doubt(&self, spans: u64) {
        let kind = DeliveryFailureKind::Spool;
        self.means.metrics.export_failed(kind.as_str());
        tracing::warn!(
            project = %self.owner.key.project, run = %self.owner.key.run, spans,
            "time ran out while spans of a run were being kept for later; they may be"
        );
        let text = "time ran out while the spans were being kept for later; they may be sent all the same"
            .to_owned();
        let mut account = self.account();
        account.in_doubt += spans;
        account.blame(failure(kind, text), spans);
    }

    /// The spans themselves are told of with whatever else is lost.
    fn not_kept(&self, error: &Unavailable, spans: u64) {
        let kind = DeliveryFailureKind::Spool;
        self.means.metrics.export_failed(kind.as_str());
        let error = chain(error);
        tracing::warn!(
            project = %self.owner.key.project, run = %self.owner.key.run, spans, error,
            "spans of a run could not be kept for later"
        );
        self.account().blame(failure(kind, format!("the spans could not be kept for later: {error}")), spans);
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
        }
    }
}
