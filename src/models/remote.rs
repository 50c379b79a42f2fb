//! A model behind a provider's API.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::transport::{self, CallError};
use super::upstream::Upstream;
use super::wire::extra;
use super::{failure, listening, retry};
use crate::definitions::Sampling;
use crate::egress::Client;
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Gate, Waiting};
use crate::execution::ports::ChatModel;
use crate::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, ModelName, ModelServer, Scene,
    SceneRole,
};

/// A model that is called over the network.
#[derive(Debug)]
pub(super) struct RemoteModel {
    name: ModelName,
    server: ModelServer,
    upstream: Upstream,
    client: Client,
    gate: Gate,
    /// The model has taken a call without reasoning that it had refused with it.
    refuses_reasoning: AtomicBool,
}

/// What a call came to, and how often it was tried.
type Asked = (Result<ChatReply, CallError>, usize);

/// What goes out, and whether the answer comes bit by bit.
struct Call {
    body: Value,
    streams: bool,
}

impl RemoteModel {
    pub(super) fn new(
        name: ModelName,
        server: ModelServer,
        upstream: Upstream,
        client: Client,
        gate: Gate,
    ) -> Self {
        Self { name, server, upstream, client, gate, refuses_reasoning: AtomicBool::new(false) }
    }

    /// Asks; and once more without reasoning, if that is what the provider demands of a call that did not mention it.
    async fn ask(&self, call: Call, waiting: &dyn Waiting) -> Asked {
        let Some(body) = self.upstream.wire.without_reasoning(&call.body) else {
            return self.send(&call, waiting).await;
        };
        let unreasoned = Call { body, ..call };
        if self.refuses_reasoning.load(Ordering::Relaxed) {
            return self.send(&unreasoned, waiting).await;
        }
        let (result, tries) = self.send(&call, waiting).await;
        if !result.as_ref().is_err_and(CallError::is_about_reasoning) {
            return (result, tries);
        }
        let (result, more_tries) = self.send(&unreasoned, waiting).await;
        self.refuses_reasoning.fetch_or(result.is_ok(), Ordering::Relaxed);
        (result, tries + more_tries)
    }

    async fn send(&self, call: &Call, waiting: &dyn Waiting) -> Asked {
        let body = Bytes::from(call.body.to_string());
        retry::with_retries(|| self.once(body.clone(), call.streams, waiting)).await
    }

    /// Every try goes through the gate, outside of its own time limit.
    async fn once(&self, body: Bytes, streams: bool, waiting: &dyn Waiting) -> Result<ChatReply, CallError> {
        let passage = self.gate.enter(waiting).await;
        let reply = if streams {
            listening::post(&self.client, &self.upstream, body).await
        } else {
            transport::post(&self.client, &self.upstream, body).await
        };
        passage.tell(reply.as_ref().err().and_then(CallError::throttled));
        reply
    }

    fn call(&self, request: &ChatRequest) -> (Call, Vec<String>) {
        let Upstream { wire, url, model, .. } = &self.upstream;
        let mut body = wire.body(url, model, request);
        let taken = extra::merge(&mut body, &request.options.extra);
        (Call { body, streams: request.options.stream }, taken)
    }
}

#[async_trait]
impl ChatModel for RemoteModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn server(&self) -> Option<ModelServer> {
        Some(self.server.clone())
    }

    fn objection(&self, sampling: &Sampling, options: &ChatOptions) -> Option<String> {
        let refused = self.upstream.wire.objection(sampling, options);
        refused.or_else(|| {
            let (_, taken) = self.call(&any_request(sampling, options));
            let first = taken.first()?;
            Some(format!("is asked for `{first}` already, so `extra` cannot have it"))
        })
    }

    async fn chat_watched(
        &self,
        request: &ChatRequest,
        waiting: &dyn Waiting,
    ) -> Result<ChatReply, RunFailure> {
        let (call, _) = self.call(request);
        let (result, tries) = self.ask(call, waiting).await;
        let mut reply = result
            .map(|reply| self.upstream.scrubber.clean_answer(reply))
            .map_err(|error| failure::of_remote(&self.name, &self.upstream, error, tries, &request.form))?;
        // Whoever knows the price takes that back.
        reply.usage.unpriced = 1;
        reply.usage.unreported = u64::from(reply.usage.tokens() == 0);
        Ok(reply)
    }
}

/// A request with everything in it that requests may have, so that it is known what is in them.
fn any_request(sampling: &Sampling, options: &ChatOptions) -> ChatRequest {
    let message = |role| ChatMessage::new(role, "?");
    let nothing = Scene { role: SceneRole::Target, turn: 1, transcript: [].into(), criteria: [].into() };
    ChatRequest {
        messages: vec![message(ChatRole::System), message(ChatRole::User)],
        form: AnswerForm::Words,
        sampling: sampling.clone(),
        options: options.clone(),
        scene: nothing,
    }
}
