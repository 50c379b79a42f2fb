//! The trace of one run as execution holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::account::failure;
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

    fn receipt(&self, delivered: SpanCounts, open: usize) -> TelemetryReceipt {
        let lost = worker_lost(self.earlier.lost());
        let counts = self.earlier.clone().plus(delivered);
        let (spooled, unconfirmed) = (counts.spooled, counts.unconfirmed());
        let mut texts: Vec<String> = counts.failures.iter().map(told).collect();
        texts.extend(lost.iter().map(|lost| lost.message.clone()));
        texts.extend(unexplained(&self.earlier));
        texts.extend((spooled > 0).then(|| format!("{spooled} spans are kept and sent later")));
        let error = (!texts.is_empty()).then(|| texts.join("; "));
        let mut receipt = counts.receipt(Some(self.trace_id()), unconfirmed);
        receipt.errors.extend(lost.into_iter().chain(open_spans(open)));
        TelemetryReceipt { error, ..receipt }
    }
}

/// One reason, for people.
fn told(failure: &DeliveryFailure) -> String {
    format!("{} ({} spans)", failure.message, failure.spans)
}

/// Nobody has said what became of these.
fn worker_lost(spans: u64) -> Option<DeliveryFailure> {
    let text = format!("a worker of this run was lost before it could say what became of {spans} spans");
    let lost = DeliveryFailure { spans, ..failure(DeliveryFailureKind::WorkerLost, text) };
    (spans > 0).then_some(lost)
}

/// Workers of an older version did not hand on why.
fn unexplained(earlier: &SpanCounts) -> Option<String> {
    let spans = earlier.unexplained() - earlier.lost();
    (spans > 0).then(|| format!("{spans} spans of earlier workers of this run were not exported"))
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
        self.earlier.clone().plus(SpanCounts { received, ..self.delivery.so_far(made) })
    }

    async fn suspend(mut self: Box<Self>) -> SpanCounts {
        let (Spans { all, received }, _) = self.close();
        // Whoever goes on with the run waits for this.
        let deadline = self.deadline.min(LAST_DELIVERY);
        let without_root = all.saturating_sub(ROOT);
        let delivered = self.delivery.finish(self.recorder.buffer(), deadline, without_root).await;
        self.finished = true;
        self.earlier.clone().plus(SpanCounts { received, ..delivered })
    }

    async fn finish(mut self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let (Spans { all, received }, open) = self.close();
        self.root.finish(&end);
        let delivered = self.delivery.finish(self.recorder.buffer(), self.deadline, all).await;
        self.finished = true;
        self.receipt(SpanCounts { received, ..delivered }, open)
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
