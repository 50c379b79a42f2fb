//! The trace of one run as execution holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::delivery::Delivery;
use super::recorder::Recorder;
use super::span::SpanHandle;
use crate::events::TelemetryReceipt;
use crate::execution::ports::{RunSpan, RunTrace};
use crate::execution::types::SpanEnd;

/// One run's trace, from its root to its delivery.
#[derive(Debug)]
pub(super) struct Trace {
    root: SpanHandle,
    recorder: Arc<Recorder>,
    delivery: Delivery,
    deadline: Duration,
    finished: bool,
}

impl Trace {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        root: SpanHandle,
        delivery: Delivery,
        deadline: Duration,
    ) -> Self {
        Self { root, recorder, delivery, deadline, finished: false }
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

    async fn finish(mut self: Box<Self>, end: SpanEnd) -> TelemetryReceipt {
        let open = self.recorder.close_all_but(self.root.span_context().span_id());
        self.delivery.left_open(open);
        self.root.finish(&end);
        let (spans, trace_id) = (self.recorder.made(), self.trace_id());
        let delivered = self.delivery.finish(self.recorder.buffer(), self.deadline, spans).await;
        self.finished = true;
        TelemetryReceipt {
            trace_id: Some(trace_id),
            spans,
            exported: delivered.exported,
            error: delivered.error,
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.finished {
            let open = self.recorder.close_all_but(self.root.span_context().span_id());
            self.delivery.left_open(open);
            self.delivery.unfinished(self.recorder.made());
        }
    }
}
