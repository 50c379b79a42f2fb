//! A target whose turns are counted.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::execution::failure::RunFailure;
use crate::execution::metering::{Call, CallKind, CallMeter};
use crate::execution::ports::{OnUnknown, SessionCall, TargetAdapter, TargetReply, TargetTurn};
use crate::execution::types::Session;

/// Tells a meter of each turn.
pub(super) struct MeteredTarget {
    pub(super) meter: Arc<dyn CallMeter>,
    pub(super) target: Box<dyn TargetAdapter>,
}

#[async_trait]
impl TargetAdapter for MeteredTarget {
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
        let call = Call::begin(&*self.meter, CallKind::Target);
        let reply = self.target.reply(turn).await;
        call.end(&reply);
        reply
    }
}
