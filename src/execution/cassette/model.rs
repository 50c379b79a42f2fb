//! A model whose calls are on tape.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Tape;
use crate::execution::failure::RunFailure;
use crate::execution::limits::Waiting;
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName, ModelServer};

/// A model that is recorded, or only the recording of one.
pub(super) struct TapedModel {
    tape: Tape,
    lane: String,
    name: ModelName,
    behind: Option<Arc<dyn ChatModel>>,
    server: Option<ModelServer>,
}

impl TapedModel {
    pub(super) fn recorded(tape: Tape, lane: String, behind: Arc<dyn ChatModel>) -> Self {
        let (name, server) = (behind.name().clone(), behind.server());
        Self { tape, lane, name, behind: Some(behind), server }
    }

    pub(super) fn replayed(tape: Tape, lane: String, name: ModelName, server: Option<ModelServer>) -> Self {
        Self { tape, lane, name, behind: None, server }
    }
}

#[async_trait]
impl ChatModel for TapedModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn behind(&self) -> Option<&dyn ChatModel> {
        self.behind.as_deref()
    }

    fn server(&self) -> Option<ModelServer> {
        self.server.clone()
    }

    /// What is replayed is not paid.
    fn knows_its_price(&self) -> bool {
        self.behind.as_ref().is_none_or(|model| model.knows_its_price())
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let ask = self.behind.as_ref().map(|model| model.chat_watched(request, waiting));
        self.tape.exchange(&self.lane, model_call(&self.name, request), ask).await
    }
}

/// A model's call as a recording keeps it: everything by which an answer may differ.
#[must_use]
pub fn model_call(name: &ModelName, request: &ChatRequest) -> Value {
    let ChatRequest { messages, form, sampling, options, .. } = request;
    let form = form.spec().map(|tool| json!({ "name": tool.name, "schema": tool.parameters }));
    let mut call =
        json!({ "model": name.to_string(), "messages": messages, "form": form, "sampling": sampling });
    let options = json!(options);
    // What was recorded before there were options had none.
    if options != json!({}) {
        call["options"] = options;
    }
    call
}
