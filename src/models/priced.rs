//! A model whose price is known.

use std::sync::Arc;

use async_trait::async_trait;

use crate::definitions::Price;
use crate::execution::failure::RunFailure;
use crate::execution::limits::Waiting;
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// Says of every reply what it cost, by the tokens that the provider counted.
///
/// Every token costs the same, cached or not, and so does every call: what providers take off or put on for caches,
/// batches or long contexts is not known here, so the amount is an estimate. A failed call costs nothing.
pub(super) struct PricedModel {
    model: Arc<dyn ChatModel>,
    price: Price,
}

impl PricedModel {
    pub(super) fn new(model: Arc<dyn ChatModel>, price: Price) -> Self {
        Self { model, price }
    }
}

#[async_trait]
impl ChatModel for PricedModel {
    fn name(&self) -> &ModelName {
        self.model.name()
    }

    fn behind(&self) -> Option<&dyn ChatModel> {
        Some(self.model.as_ref())
    }

    fn knows_its_price(&self) -> bool {
        true
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let mut reply = self.model.chat_watched(request, waiting).await?;
        reply.usage.unpriced = 0;
        reply.usage.cost = self.price.of(reply.usage.input_tokens, reply.usage.output_tokens);
        Ok(reply)
    }
}
