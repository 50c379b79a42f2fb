//! A turn as it is in every run: with the ids left out that are others each time.

use std::sync::Arc;

use crate::events::{RunId, RunKey, TraceContext};
use crate::execution::limits::Admission;
use crate::execution::ports::{RunSpan, TargetTurn};
use crate::execution::types::{SpanEnd, SpanStart};

/// Stands for the run's id, which is the thread id, too.
const ANY_RUN: &str = "any-run";

/// What `read` makes of `turn` as a turn of any run, traced by anybody.
pub(super) fn of_any_run<T>(
    turn: &TargetTurn<'_>,
    read: impl FnOnce(&TargetTurn<'_>) -> Option<T>,
) -> Option<T> {
    let run = RunKey { project: turn.run.project.clone(), run: RunId::parse(ANY_RUN).ok()? };
    let TargetTurn { turn, transcript, so_far, .. } = *turn;
    read(&TargetTurn {
        run: &run,
        turn,
        transcript: &Arc::clone(transcript),
        span: &AnySpan,
        session: None,
        admission: Admission::default(),
        so_far,
    })
}

/// A span that records nothing, with an id that says nothing.
pub(super) struct AnySpan;

impl RunSpan for AnySpan {
    fn child(&self, _: SpanStart) -> Box<dyn RunSpan> {
        Box::new(Self)
    }

    fn context(&self) -> TraceContext {
        TraceContext { trace_id: [1; 16], span_id: [1; 8], flags: 0, state: String::new() }
    }

    fn end(self: Box<Self>, _: SpanEnd) {}
}
