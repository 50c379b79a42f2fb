//! A model whose calls are counted.

use std::sync::Arc;

use async_trait::async_trait;

use crate::execution::failure::RunFailure;
use crate::execution::limits::Waiting;
use crate::execution::metering::{Call, CallKind, CallMeter};
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// Tells a meter of each call.
pub(super) struct MeteredModel {
    pub(super) meter: Arc<dyn CallMeter>,
    pub(super) model: Arc<dyn ChatModel>,
}

#[async_trait]
impl ChatModel for MeteredModel {
    fn name(&self) -> &ModelName {
        self.model.name()
    }

    fn behind(&self) -> Option<&dyn ChatModel> {
        Some(self.model.as_ref())
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let call = Call::begin(&*self.meter, CallKind::Model);
        let reply = self.model.chat_watched(request, waiting).await;
        call.end(&reply);
        reply
    }
}
