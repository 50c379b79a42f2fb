//! A model whose calls are limited as a whole.

use std::sync::Arc;

use async_trait::async_trait;

use crate::execution::failure::RunFailure;
use crate::execution::limits::{Gate, Waiting};
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// Lets each call through its gate. For models that never try twice; a remote one takes each try through the gate.
pub(super) struct GatedModel {
    gate: Gate,
    model: Arc<dyn ChatModel>,
}

impl GatedModel {
    /// `model`, behind `gate` unless that is open.
    pub(super) fn behind(gate: Gate, model: Arc<dyn ChatModel>) -> Arc<dyn ChatModel> {
        if gate.is_open() { model } else { Arc::new(Self { gate, model }) }
    }
}

#[async_trait]
impl ChatModel for GatedModel {
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
        let passage = self.gate.enter(waiting).await;
        let reply = self.model.chat_watched(request, waiting).await;
        passage.tell(reply.as_ref().err().and_then(|failure| failure.throttled));
        reply
    }
}
