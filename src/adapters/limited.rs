//! A target whose turns are limited.

use async_trait::async_trait;

use crate::execution::failure::RunFailure;
use crate::execution::limits::{Admission, Both, Gate, SpanWaits};
use crate::execution::ports::{TargetAdapter, TargetReply, TargetTurn};

/// Lets each turn through its gate before the adapter does anything. An adapter that makes a turn's request once more
/// asks the turn's [`Admission`] again.
pub(super) struct LimitedTarget {
    gate: Gate,
    target: Box<dyn TargetAdapter>,
}

impl LimitedTarget {
    /// `target`, behind `gate` unless that is open.
    pub(super) fn behind(gate: Gate, target: Box<dyn TargetAdapter>) -> Box<dyn TargetAdapter> {
        if gate.is_open() { target } else { Box::new(Self { gate, target }) }
    }
}

#[async_trait]
impl TargetAdapter for LimitedTarget {
    fn behind(&self) -> Option<&dyn TargetAdapter> {
        Some(self.target.as_ref())
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let noted = SpanWaits(turn.span);
        let told = Both(turn.admission.waiting(), &noted);
        let passage = self.gate.enter(&told).await;
        let admission = Admission::watched_by(&told).through(&passage);
        let reply = self.target.reply(TargetTurn { admission, ..turn }).await;
        passage.tell(reply.as_ref().err().and_then(|failure| failure.throttled));
        reply
    }
}
