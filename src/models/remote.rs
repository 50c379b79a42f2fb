//! A model behind a provider's API.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Client;

use super::upstream::Upstream;
use super::{failure, retry, transport};
use crate::execution::failure::RunFailure;
use crate::execution::ports::ChatModel;
use crate::execution::types::{ChatReply, ChatRequest, ModelName};

/// A model that is called over the network.
#[derive(Debug)]
pub(super) struct RemoteModel {
    name: ModelName,
    upstream: Upstream,
    client: Client,
}

impl RemoteModel {
    pub(super) fn new(name: ModelName, upstream: Upstream, client: Client) -> Self {
        Self { name, upstream, client }
    }

    async fn once(&self, body: Bytes) -> Result<ChatReply, transport::CallError> {
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
        let body = Bytes::from(wire.body(url, model, request).to_string());
        let (result, tries) = retry::with_retries(|| self.once(body.clone())).await;
        result.map_err(|error| failure::of_remote(&self.name, &self.upstream, error, tries))
    }
}
