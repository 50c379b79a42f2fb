//! Calling a model inside a span.

use std::sync::Arc;

use super::failure::RunFailure;
use super::limits::SpanWaits;
use super::ports::{ChatModel, RunSpan};
use crate::events::{Attribution, RunError, TokenUsage};

use super::types::{ChatReply, ChatRequest, SpanEnd, SpanStart};

/// Asks `model` under a span of its own below `parent`.
///
/// # Errors
/// The model's failure, which the span carries too.
pub async fn chat_in_span(
    model: &dyn ChatModel,
    request: ChatRequest,
    parent: &dyn RunSpan,
) -> Result<ChatReply, RunFailure> {
    let request = Arc::new(request);
    let (name, server) = (model.name().clone(), model.server());
    let span = parent.child(SpanStart::Chat { model: name, server, request: Arc::clone(&request) });
    let result = model.chat_watched(&request, &SpanWaits(span.as_ref())).await;
    span.end(match &result {
        Ok(reply) => SpanEnd::Replied(reply.clone()),
        Err(failure) => failure.into(),
    });
    result
}

/// What a call used; one that failed still was a call.
#[must_use]
pub fn usage_of(reply: &Result<ChatReply, RunFailure>) -> TokenUsage {
    match reply {
        Ok(reply) => reply.usage,
        // The budget refuses a call before it is made.
        Err(failure) if failure.attributed_to == Attribution::Budget => TokenUsage::default(),
        Err(_) => TokenUsage { calls: 1, ..TokenUsage::default() },
    }
}

impl From<&RunFailure> for SpanEnd {
    fn from(failure: &RunFailure) -> Self {
        let RunError { code, message, .. } = failure.to_error();
        Self::Failed { code, message }
    }
}
