//! The trace of one run as execution holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::delivery::{Delivery, LAST_DELIVERY};
use super::recorder::Recorder;
use super::span::SpanHandle;
use crate::events::TelemetryReceipt;
use crate::execution::ports::{RunSpan, RunTrace};
use crate::execution::types::{SpanCounts, SpanEnd};

/// The root is one span.
const ROOT: u64 = 1;

/// One run's trace, from its root to its delivery.
#[derive(Debug)]
pub(super) struct Trace {
    root: SpanHandle,
    recorder: Arc<Recorder>,
    delivery: Delivery,
    deadline: Duration,
    earlier: SpanCounts,
    finished: bool,
}

impl Trace {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        root: SpanHandle,
        delivery: Delivery,
        deadline: Duration,
        earlier: SpanCounts,
    ) -> Self {
        Self { root, recorder, delivery, deadline, earlier, finished: false }
    }
}

impl Trace {
    /// Ends every span but the root, and answers how many there are, the root included.
    fn close(&self) -> u64 {
        let open = self.recorder.close_all_but(self.root.span_context().span_id());
        self.delivery.left_open(open);
        self.recorder.made()
    }
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
        self.delivery.flush(self.recorder.buffer()).await;
    }

    fn counts(&self) -> SpanCounts {
        SpanCounts {
            made: self.earlier.made + self.recorder.made().saturating_sub(ROOT),
            exported: self.earlier.exported + self.delivery.exported(),
        }
    }

    async fn suspend(mut self: Box<Self>) -> SpanCounts {
        let made = self.close().saturating_sub(ROOT);
        // Whoever goes on with the run waits for this.
        let deadline = self.deadline.min(LAST_DELIVERY);
        let delivered = self.delivery.finish(self.recorder.buffer(), deadline, made).await;
        self.finished = true;
        SpanCounts { made: self.earlier.made + made, exported: self.earlier.exported + delivered.exported }
    }

    async fn finish(mut self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let made = self.close();
        self.root.finish(&end);
        let delivered = self.delivery.finish(self.recorder.buffer(), self.deadline, made).await;
        self.finished = true;
        let lost = self.earlier.made.saturating_sub(self.earlier.exported);
        let earlier =
            (lost > 0).then(|| format!("{lost} spans of earlier workers of this run were not exported"));
        let errors: Vec<String> = delivered.error.into_iter().chain(earlier).collect();
        TelemetryReceipt {
            trace_id: Some(self.trace_id()),
            spans: self.earlier.made + made,
            exported: self.earlier.exported + delivered.exported,
            error: (!errors.is_empty()).then(|| errors.join("; ")),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.finished {
            let made = self.close();
            self.delivery.unfinished(made);
        }
    }
}
