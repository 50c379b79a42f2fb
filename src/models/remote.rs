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
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// A model that is called over the network.
#[derive(Debug)]
pub(super) struct RemoteModel {
    name: ModelName,
    upstream: Upstream,
    client: Client,
    /// The model has taken a call without reasoning that it had refused with it.
    refuses_reasoning: AtomicBool,
}

/// What a call came to, and how often it was tried.
type Asked = (Result<ChatReply, CallError>, usize);

impl RemoteModel {
    pub(super) fn new(name: ModelName, upstream: Upstream, client: Client) -> Self {
        Self { name, upstream, client, refuses_reasoning: AtomicBool::new(false) }
    }

    /// Asks; and once more without reasoning, if that is what the provider demands of a call that did not mention it.
    async fn ask(&self, body: Value) -> Asked {
        let Some(unreasoned) = self.upstream.wire.without_reasoning(&body) else {
            return self.send(&body).await;
        };
        if self.refuses_reasoning.load(Ordering::Relaxed) {
            return self.send(&unreasoned).await;
        }
        let (result, tries) = self.send(&body).await;
        if !result.as_ref().is_err_and(CallError::is_about_reasoning) {
            return (result, tries);
        }
        let (result, more_tries) = self.send(&unreasoned).await;
        self.refuses_reasoning.fetch_or(result.is_ok(), Ordering::Relaxed);
        (result, tries + more_tries)
    }

    async fn send(&self, body: &Value) -> Asked {
        let body = Bytes::from(body.to_string());
        retry::with_retries(|| self.once(body.clone())).await
    }

    async fn once(&self, body: Bytes) -> Result<ChatReply, CallError> {
        let answer = transport::post(&self.client, &self.upstream, body).await?;
        Ok(self.upstream.wire.reply(answer)?)
    }
}

#[async_trait]
impl ChatModel for RemoteModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, RunFailure> {
        let Upstream { wire, url, model, .. } = &self.upstream;
        let (result, tries) = self.ask(wire.body(url, model, request)).await;
        let mut reply = result
            .map(|reply| self.upstream.scrubber.clean_answer(reply))
            .map_err(|error| failure::of_remote(&self.name, &self.upstream, error, tries, &request.form))?;
        // Whoever knows the price takes that back.
        reply.usage.unpriced = 1;
        reply.usage.unreported = u64::from(reply.usage.tokens() == 0);
        Ok(reply)
    }
}
