//! A target whose turns are counted.

use std::sync::Arc;

use async_trait::async_trait;

use crate::execution::failure::RunFailure;
use crate::execution::metering::{Call, CallKind, CallMeter};
use crate::execution::ports::{TargetAdapter, TargetReply, TargetTurn};

/// Tells a meter of each turn.
pub(super) struct MeteredTarget {
    pub(super) meter: Arc<dyn CallMeter>,
    pub(super) target: Box<dyn TargetAdapter>,
}

#[async_trait]
impl TargetAdapter for MeteredTarget {
    fn behind(&self) -> Option<&dyn TargetAdapter> {
        Some(self.target.as_ref())
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let call = Call::begin(&*self.meter, CallKind::Target);
        let reply = self.target.reply(turn).await;
        call.end(&reply);
        reply
    }
}
