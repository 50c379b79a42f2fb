//! A target whose turns are limited.

use async_trait::async_trait;
use serde_json::Value;

use crate::execution::failure::RunFailure;
use crate::execution::limits::{Admission, Both, Gate, SpanWaits};
use crate::execution::ports::{OnUnknown, SessionCall, TargetAdapter, TargetReply, TargetTurn};
use crate::execution::types::Session;

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
    fn on_unknown(&self) -> OnUnknown {
        self.target.on_unknown()
    }

    fn kept(&self) -> Option<Value> {
        self.target.kept()
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.target.asked(turn)
    }

    fn reports_tool_calls(&self) -> bool {
        self.target.reports_tool_calls()
    }

    fn knows_its_price(&self) -> bool {
        self.target.knows_its_price()
    }

    fn continues_trace(&self) -> bool {
        self.target.continues_trace()
    }

    fn scrub(&self, told: &mut Value) {
        self.target.scrub(told);
    }

    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        self.target.begin(call).await
    }

    async fn end(&self, call: SessionCall<'_>, session: Session) -> Result<(), RunFailure> {
        self.target.end(call, session).await
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
