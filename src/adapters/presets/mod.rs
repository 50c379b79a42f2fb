//! Agents behind known protocols, so that their definitions need a few lines only.
//!
//! Each protocol is one file (or folder) with a `Preset` and one line at the use of `presets!`. What all of them have in
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

use schemars::SchemaGenerator;

use self::adapter::{Preset, PresetFactory, definition_schema};
use super::agent_schemas::AgentSchema;
use super::http::HttpAdapterFactory;
use super::registry::Registry;

/// Everything that there has to be for every preset: a new one is a line at the macro's use.
macro_rules! presets {
    ($($preset:ty),+ $(,)?) => {
        /// Adds the type of every preset, each reached as `http` reaches its agents.
        #[must_use]
        pub fn with_presets(registry: Registry, http: &HttpAdapterFactory) -> Registry {
            registry$(.with(PresetFactory::<$preset>::new(http)))+
        }

        /// What definitions of every preset look like.
        pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<AgentSchema> {
            vec![$((<$preset>::KIND, definition_schema::<$preset>(generator))),+]
        }
    };
}

presets!(
    a2a::A2a,
    langgraph::LangGraph,
    mcp::McpTool,
    openai_chat::OpenAiChat,
    openai_responses::OpenAiResponses,
    websocket::WebSocketAgent,
);
