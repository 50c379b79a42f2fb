//! A run's span as execution holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::SpanContext;

use super::describe::{Work, opening};
use super::recorder::Recorder;
use crate::events::TraceContext;
use crate::execution::ports::RunSpan;
use crate::execution::types::{SpanEnd, SpanNote, SpanStart};
use crate::telemetry::propagation::trace_context;

/// Refers to a span of a recorder. Dropped without an end, it ends the span as abandoned.
#[derive(Debug)]
pub(super) struct SpanHandle {
    recorder: Arc<Recorder>,
    context: SpanContext,
    work: Work,
    model_called: AtomicBool,
    ended: bool,
}

impl SpanHandle {
    pub(super) fn open(recorder: Arc<Recorder>, context: SpanContext, work: Work) -> Self {
        Self { recorder, context, work, model_called: AtomicBool::new(false), ended: false }
    }

    /// A handle that stands for no span, only for the place where one would have been.
    pub(super) fn closed(recorder: Arc<Recorder>, context: SpanContext, work: Work) -> Self {
        let mut handle = Self::open(recorder, context, work);
        handle.ended = true;
        handle
    }

    pub(super) fn span_context(&self) -> &SpanContext {
        &self.context
    }

    /// Ends the span, once.
    pub(super) fn finish(&mut self, end: &SpanEnd) {
        if !std::mem::replace(&mut self.ended, true) {
            let model_called = self.model_called.load(Ordering::Relaxed);
            self.recorder.end(self.context.span_id(), self.work, end, model_called);
        }
    }
}

impl RunSpan for SpanHandle {
    fn child(&self, start: SpanStart) -> Box<dyn RunSpan> {
        if matches!(start, SpanStart::Chat { .. }) {
            self.model_called.store(true, Ordering::Relaxed);
        }
        let opening = opening(&start, self.recorder.run_id());
        Box::new(self.recorder.begin(&self.context, Vec::new(), opening))
    }

    fn context(&self) -> TraceContext {
        trace_context(&self.context, self.recorder.state())
    }

    fn note(&self, note: SpanNote) {
        self.recorder.note(self.context.span_id(), &note);
    }

    fn end(mut self: Box<Self>, end: SpanEnd) {
        self.finish(&end);
    }
}

impl Drop for SpanHandle {
    fn drop(&mut self) {
        if !self.ended {
            self.recorder.abandon(self.context.span_id());
        }
    }
}
