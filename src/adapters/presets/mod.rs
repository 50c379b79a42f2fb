//! Agents behind known protocols, so that their definitions need a few lines only.
//!
//! Each protocol is one file (or folder) with a [`Preset`] and one line in [`with_presets`]. What all of them have in
//! common (URL, headers, authentication, time limit) is read as it is for agents of type `http`.

mod a2a;
mod adapter;
mod answer;
mod call;
mod ids;
mod json_rpc;
mod json_template;
mod langgraph;
mod mcp;
mod openai_chat;
mod openai_responses;
mod openai_wire;
mod unseen;
mod websocket;

use std::sync::Arc;

use self::adapter::PresetFactory;
use super::registry::Registry;
use crate::definitions::Secret;
use crate::egress::Client;
use crate::execution::ports::{AgentRepository, SecretRepository};

/// What all presets are made from.
#[derive(Clone)]
pub struct PresetParts {
    /// Where agents are defined.
    pub agents: Arc<dyn AgentRepository>,
    /// Where secrets are.
    pub secrets: Arc<dyn SecretRepository>,
    /// Calls agents.
    pub client: Client,
    /// Calls agents by HTTP/1.1 alone: a connection can become another protocol's only there.
    pub upgrading_client: Client,
}

/// Adds the type of every preset: a new one is a line here.
#[must_use]
pub fn with_presets(registry: Registry, parts: &PresetParts) -> Registry {
    registry
        .with(PresetFactory::<a2a::A2a>::new(parts))
        .with(PresetFactory::<langgraph::LangGraph>::new(parts))
        .with(PresetFactory::<mcp::McpTool>::new(parts))
        .with(PresetFactory::<openai_chat::OpenAiChat>::new(parts))
        .with(PresetFactory::<openai_responses::OpenAiResponses>::new(parts))
        .with(PresetFactory::<websocket::WebSocketAgent>::new(parts))
}

/// The values of `secrets`.
fn exposed<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<&'a str> {
    secrets.into_iter().map(Secret::expose).collect()
}
