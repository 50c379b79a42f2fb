//! A model whose every call is paid from the run's budget, and whose every answer counts as the run getting on.

use async_trait::async_trait;

use super::budget::Purse;
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Both, Waiting};
use crate::execution::ports::ChatModel;
use crate::execution::signals::Progress;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// Tells `progress` whenever `model` has answered: a step may take several calls, and none of them is a stall.
pub(super) struct WatchedModel<'a> {
    /// The model.
    pub(super) model: &'a dyn ChatModel,
    /// Who is told.
    pub(super) progress: &'a Progress,
    /// Pays every call.
    pub(super) purse: &'a Purse,
}

#[async_trait]
impl ChatModel for WatchedModel<'_> {
    fn name(&self) -> &ModelName {
        self.model.name()
    }

    fn behind(&self) -> Option<&dyn ChatModel> {
        Some(self.model)
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let told = Both(self.progress, waiting);
        let reply = self.purse.pay(self.model.chat_watched(request, &told)).await;
        self.progress.touch();
        reply
    }
}
