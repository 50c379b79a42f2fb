//! The trace of one run as execution holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::account::{Delivered, failure};
use super::delivery::{Delivery, LAST_DELIVERY};
use super::recorder::Recorder;
use super::span::SpanHandle;
use crate::events::{DeliveryFailure, DeliveryFailureKind, TelemetryReceipt};
use crate::execution::ports::{RunSpan, RunTrace, TargetSpans};
use crate::execution::types::{SpanCounts, SpanEnd};
use crate::telemetry::ingress::Registration;

/// The root is one span.
const ROOT: u64 = 1;

/// How many spans there are.
#[derive(Clone, Copy)]
struct Spans {
    all: u64,
    /// Those of them that the target sent.
    received: u64,
}

/// One run's trace, from its root to its delivery.
#[derive(Debug)]
pub(super) struct Trace {
    root: SpanHandle,
    recorder: Arc<Recorder>,
    delivery: Arc<Delivery>,
    deadline: Duration,
    earlier: SpanCounts,
    /// Lets the spans of the target in.
    registration: Option<Registration>,
    finished: bool,
}

impl Trace {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        root: SpanHandle,
        delivery: Arc<Delivery>,
        deadline: Duration,
        earlier: SpanCounts,
        registration: Option<Registration>,
    ) -> Self {
        Self { root, recorder, delivery, deadline, earlier, registration, finished: false }
    }

    /// Ends every span but the root, and takes none of the target any more. Answers how many there are, the root included,
    /// and how many were open.
    fn close(&mut self) -> (Spans, usize) {
        self.registration = None;
        if let Some(inbox) = self.recorder.inbox() {
            inbox.close();
        }
        let open = self.recorder.close_all_but(self.root.span_context().span_id());
        self.delivery.left_open(open);
        (self.spans(), open)
    }

    fn spans(&self) -> Spans {
        let received = self.recorder.inbox().map_or(0, |inbox| inbox.passed_on());
        Spans { all: self.recorder.made() + received, received }
    }

    fn receipt(&self, delivered: Delivered, open: usize) -> TelemetryReceipt {
        let counts = self.earlier.plus(delivered.counts);
        let lost = worker_lost(self.earlier.unconfirmed());
        let mut errors = [delivered.failures, lost.into_iter().collect()].concat();
        let told = errors.iter().map(|error| error.message.clone());
        let mut texts: Vec<String> = told.chain(earlier_failures(self.earlier)).collect();
        texts.extend(
            (counts.spooled > 0).then(|| format!("{} spans are kept and sent later", counts.spooled)),
        );
        errors.extend(open_spans(open));
        let error = (!texts.is_empty()).then(|| texts.join("; "));
        TelemetryReceipt { error, errors, ..counts.receipt(Some(self.trace_id()), counts.unconfirmed()) }
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

    fn target_spans(&self) -> Option<&dyn TargetSpans> {
        self.recorder.inbox().map(|inbox| inbox.as_ref() as &dyn TargetSpans)
    }

    async fn flush(&self) {
        self.delivery.flush(self.recorder.buffer());
    }

    fn counts(&self) -> SpanCounts {
        let Spans { all, received } = self.spans();
        let made = all.saturating_sub(ROOT);
        let (exported, rejected) = self.delivery.so_far();
        self.earlier.plus(SpanCounts { made, received, exported, rejected, ..SpanCounts::default() })
    }

    async fn suspend(mut self: Box<Self>) -> SpanCounts {
        let (Spans { all, received }, _) = self.close();
        // Whoever goes on with the run waits for this.
        let deadline = self.deadline.min(LAST_DELIVERY);
        let without_root = all.saturating_sub(ROOT);
        let delivered = self.delivery.finish(self.recorder.buffer(), deadline, without_root).await;
        self.finished = true;
        self.earlier.plus(SpanCounts { received, ..delivered.counts })
    }

    async fn finish(mut self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let (Spans { all, received }, open) = self.close();
        self.root.finish(&end);
        let mut delivered = self.delivery.finish(self.recorder.buffer(), self.deadline, all).await;
        delivered.counts.received = received;
        self.finished = true;
        self.receipt(delivered, open)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.finished {
            let (Spans { all, .. }, _) = self.close();
            self.delivery.unfinished(all);
        }
    }
}
