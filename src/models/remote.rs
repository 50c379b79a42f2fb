//! A model behind a provider's API.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::transport::{self, CallError};
use super::upstream::Upstream;
use super::{failure, retry};
use crate::egress::Client;
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Gate, Unwatched, Waiting};
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// A model that is called over the network.
#[derive(Debug)]
pub(super) struct RemoteModel {
    name: ModelName,
    upstream: Upstream,
    client: Client,
    gate: Gate,
    /// The model has taken a call without reasoning that it had refused with it.
    refuses_reasoning: AtomicBool,
}

/// What a call came to, and how often it was tried.
type Asked = (Result<ChatReply, CallError>, usize);

impl RemoteModel {
    pub(super) fn new(name: ModelName, upstream: Upstream, client: Client, gate: Gate) -> Self {
        Self { name, upstream, client, gate, refuses_reasoning: AtomicBool::new(false) }
    }

    /// Asks; and once more without reasoning, if that is what the provider demands of a call that did not mention it.
    async fn ask(&self, body: Value, waiting: &dyn Waiting) -> Asked {
        let Some(unreasoned) = self.upstream.wire.without_reasoning(&body) else {
            return self.send(&body, waiting).await;
        };
        if self.refuses_reasoning.load(Ordering::Relaxed) {
            return self.send(&unreasoned, waiting).await;
        }
        let (result, tries) = self.send(&body, waiting).await;
        if !result.as_ref().is_err_and(CallError::is_about_reasoning) {
            return (result, tries);
        }
        let (result, more_tries) = self.send(&unreasoned, waiting).await;
        self.refuses_reasoning.fetch_or(result.is_ok(), Ordering::Relaxed);
        (result, tries + more_tries)
    }

    async fn send(&self, body: &Value, waiting: &dyn Waiting) -> Asked {
        let body = Bytes::from(body.to_string());
        retry::with_retries(|| self.once(body.clone(), waiting)).await
    }

    /// Every try goes through the gate, outside of its own time limit.
    async fn once(&self, body: Bytes, waiting: &dyn Waiting) -> Result<ChatReply, CallError> {
        let passage = self.gate.enter(waiting).await;
        let answer = transport::post(&self.client, &self.upstream, body).await;
        passage.tell(answer.as_ref().err().and_then(CallError::throttled));
        Ok(self.upstream.wire.reply(answer?)?)
    }
}

#[async_trait]
impl ChatModel for RemoteModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, RunFailure> {
        self.chat_watched(request, &Unwatched).await
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let Upstream { wire, url, model, .. } = &self.upstream;
        let (result, tries) = self.ask(wire.body(url, model, request), waiting).await;
        let mut reply = result
            .map(|reply| self.upstream.scrubber.clean_answer(reply))
            .map_err(|error| failure::of_remote(&self.name, &self.upstream, error, tries, &request.form))?;
        // Whoever knows the price takes that back.
        reply.usage.unpriced = 1;
        reply.usage.unreported = u64::from(reply.usage.tokens() == 0);
        Ok(reply)
    }
}
