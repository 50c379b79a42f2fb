//! Agents behind known protocols, so that their definitions need a few lines only.
//!
//! Each protocol is one file (or folder) with a `Preset` and one line in [`with_presets`]. What all of them have in
//! common (URL, headers, authentication, certificates, limits) is read as it is for agents of type `http`.

mod a2a;
mod adapter;
mod ids;
mod json_rpc;
mod langgraph;
mod mcp;
mod openai_chat;
mod openai_responses;
mod openai_wire;
mod remembered;
mod unseen;
mod websocket;

use self::adapter::PresetFactory;
use super::http::HttpAdapterFactory;
use super::registry::Registry;

/// Adds the type of every preset, each reached as `http` reaches its agents: a new one is a line here.
#[must_use]
pub fn with_presets(registry: Registry, http: &HttpAdapterFactory) -> Registry {
    registry
        .with(PresetFactory::<a2a::A2a>::new(http))
        .with(PresetFactory::<langgraph::LangGraph>::new(http))
        .with(PresetFactory::<mcp::McpTool>::new(http))
        .with(PresetFactory::<openai_chat::OpenAiChat>::new(http))
        .with(PresetFactory::<openai_responses::OpenAiResponses>::new(http))
        .with(PresetFactory::<websocket::WebSocketAgent>::new(http))
}
