//! The trace of one run as execution holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::account::{Delivered, failure};
use super::delivery::{Delivery, LAST_DELIVERY};
use super::recorder::Recorder;
use super::span::SpanHandle;
use crate::events::{DeliveryFailure, DeliveryFailureKind, TelemetryReceipt};
use crate::execution::ports::{RunSpan, RunTrace};
use crate::execution::types::{SpanCounts, SpanEnd};

/// The root is one span.
const ROOT: u64 = 1;

/// One run's trace, from its root to its delivery.
#[derive(Debug)]
pub(super) struct Trace {
    root: SpanHandle,
    recorder: Arc<Recorder>,
    delivery: Arc<Delivery>,
    deadline: Duration,
    earlier: SpanCounts,
    finished: bool,
}

impl Trace {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        root: SpanHandle,
        delivery: Arc<Delivery>,
        deadline: Duration,
        earlier: SpanCounts,
    ) -> Self {
        Self { root, recorder, delivery, deadline, earlier, finished: false }
    }

    /// Ends every span but the root. Answers how many there are, the root included, and how many were open.
    fn close(&self) -> (u64, usize) {
        let open = self.recorder.close_all_but(self.root.span_context().span_id());
        self.delivery.left_open(open);
        (self.recorder.made(), open)
    }

    fn receipt(&self, delivered: Delivered, open: usize) -> TelemetryReceipt {
        let SpanCounts { made: spans, exported, rejected, spooled, undelivered } =
            self.earlier.plus(delivered.counts);
        let unconfirmed = self.earlier.unconfirmed();
        let mut errors = delivered.failures;
        errors.extend(worker_lost(unconfirmed));
        let mut texts: Vec<String> = errors.iter().map(|error| error.message.clone()).collect();
        texts.extend(earlier_failures(self.earlier));
        texts.extend((spooled > 0).then(|| format!("{spooled} spans are kept and sent later")));
        errors.extend(open_spans(open));
        TelemetryReceipt {
            trace_id: Some(self.trace_id()),
            spans,
            exported,
            rejected,
            spooled,
            undelivered,
            unconfirmed,
            error: (!texts.is_empty()).then(|| texts.join("; ")),
            errors,
        }
    }
}

/// Nobody has said what became of these.
fn worker_lost(spans: u64) -> Option<DeliveryFailure> {
    let text = format!("a worker of this run was lost before it could say what became of {spans} spans");
    let lost = DeliveryFailure { spans, ..failure(DeliveryFailureKind::WorkerLost, text) };
    (spans > 0).then_some(lost)
}

/// What earlier workers have said does not repeat why.
fn earlier_failures(earlier: SpanCounts) -> Option<String> {
    let lost = earlier.rejected + earlier.undelivered;
    (lost > 0).then(|| format!("{lost} spans of earlier workers of this run were not exported"))
}

fn open_spans(open: usize) -> Option<DeliveryFailure> {
    let text = format!("{open} spans were still open at the end of the run; they were ended as abandoned");
    let spans = u64::try_from(open).unwrap_or(u64::MAX);
    (open > 0).then(|| DeliveryFailure { spans, ..failure(DeliveryFailureKind::OpenSpans, text) })
}

#[async_trait]
impl RunTrace for Trace {
    fn trace_id(&self) -> String {
        self.root.span_context().trace_id().to_string()
    }

    fn root(&self) -> &dyn RunSpan {
        &self.root
    }

    async fn flush(&self) {
        self.delivery.flush(self.recorder.buffer());
    }

    fn counts(&self) -> SpanCounts {
        let made = self.recorder.made().saturating_sub(ROOT);
        let (exported, rejected) = self.delivery.so_far();
        self.earlier.plus(SpanCounts { made, exported, rejected, ..SpanCounts::default() })
    }

    async fn suspend(mut self: Box<Self>) -> SpanCounts {
        let (made, _) = self.close();
        // Whoever goes on with the run waits for this.
        let deadline = self.deadline.min(LAST_DELIVERY);
        let without_root = made.saturating_sub(ROOT);
        let delivered = self.delivery.finish(self.recorder.buffer(), deadline, without_root).await;
        self.finished = true;
        self.earlier.plus(delivered.counts)
    }

    async fn finish(mut self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let (made, open) = self.close();
        self.root.finish(&end);
        let delivered = self.delivery.finish(self.recorder.buffer(), self.deadline, made).await;
        self.finished = true;
        self.receipt(delivered, open)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.finished {
            let (made, _) = self.close();
            self.delivery.unfinished(made);
        }
    }
}
