//! A span that remembers what was put below it.

use std::sync::{Arc, Mutex};

use scenario_worker::events::TraceContext;
use scenario_worker::execution::ports::RunSpan;
use scenario_worker::execution::types::{SpanEnd, SpanNote, SpanStart};

/// How a span began, and how it ended if it did.
pub(crate) type RecordedSpan = (SpanStart, Option<SpanEnd>);

/// What was recorded: every span that began, and how it ended.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    spans: Arc<Mutex<Vec<RecordedSpan>>>,
    notes: Arc<Mutex<Vec<SpanNote>>>,
}

impl Recorded {
    /// A parent span with `context`, whose children are recorded here.
    pub(crate) fn span(&self, context: TraceContext) -> RecordingSpan {
        RecordingSpan { context, index: None, recorded: self.clone() }
    }

    /// The spans below the parent, in the order in which they began.
    pub(crate) fn spans(&self) -> Vec<RecordedSpan> {
        self.spans.lock().unwrap().clone()
    }

    /// What was noted on any span, in order.
    pub(crate) fn notes(&self) -> Vec<SpanNote> {
        self.notes.lock().unwrap().clone()
    }
}

/// A span of [`Recorded`].
pub(crate) struct RecordingSpan {
    context: TraceContext,
    index: Option<usize>,
    recorded: Recorded,
}

impl RunSpan for RecordingSpan {
    fn child(&self, start: SpanStart) -> Box<dyn RunSpan> {
        let mut spans = self.recorded.spans.lock().unwrap();
        spans.push((start, None));
        let index = Some(spans.len() - 1);
        Box::new(Self { context: self.context.clone(), index, recorded: self.recorded.clone() })
    }

    fn context(&self) -> TraceContext {
        self.context.clone()
    }

    fn note(&self, note: SpanNote) {
        self.recorded.notes.lock().unwrap().push(note);
    }

    fn end(self: Box<Self>, end: SpanEnd) {
        if let Some(index) = self.index {
            self.recorded.spans.lock().unwrap()[index].1 = Some(end);
        }
    }
}
