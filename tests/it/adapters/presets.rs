//! Agents behind known protocols.

mod a2a;
mod definitions;
mod hostile;
mod langgraph;
mod mcp;
mod openai;
mod websocket;

use std::sync::Arc;

use scenario_worker::adapters::Registry;
use scenario_worker::adapters::presets::{PresetParts, with_presets};
use scenario_worker::events::MessageRole;
use scenario_worker::execution::failure::{PlanError, RunFailure};
use scenario_worker::execution::ports::{TargetAdapter, TargetAdapters as _, TargetReply};
use scenario_worker::execution::types::Message;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::stage::{LINE, Shelf, agent, dialogue, secrets, spec, take_turn};
use crate::support::spans::Recorded;

/// Every preset's type.
const KINDS: [&str; 6] = ["a2a", "langgraph", "mcp", "openai_chat", "openai_responses", "websocket"];
/// A secret of the project, and what it is.
const KEY: (&str, &str) = ("KEY", "k-very-secret-123");

fn registry(shelf: Shelf) -> Registry {
    let shelf = Arc::new(shelf);
    let client = crate::support::egress::open();
    let parts =
        PresetParts { agents: shelf.clone(), secrets: shelf, upgrading_client: client.clone(), client };
    with_presets(Registry::new(), &parts)
}

/// An adapter for the agent `shop` of `kind`.
async fn adapter(kind: &str, config: Value) -> Result<Box<dyn TargetAdapter>, PlanError> {
    let shelf = Shelf { agents: vec![agent(kind, config)], secrets: secrets([KEY]), ..Shelf::default() };
    registry(shelf).adapter(spec(kind, "shop", json!({ "region": "eu" }))).await
}

/// Asks an agent with this definition once.
async fn ask(kind: &str, config: Value) -> Result<TargetReply, RunFailure> {
    let adapter = adapter(kind, config).await.expect("the definition is usable");
    say(adapter.as_ref(), &dialogue(LINE)).await
}

/// One turn of a conversation.
async fn say(adapter: &dyn TargetAdapter, transcript: &Arc<[Message]>) -> Result<TargetReply, RunFailure> {
    take_turn(adapter, transcript, &Recorded::default()).await
}

/// The conversation after the agent's answer and another line of the customer.
fn then(transcript: &Arc<[Message]>, answer: &str, line: &str) -> Arc<[Message]> {
    let message = |role, content: &str| Message {
        turn: 3,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    let more = [message(MessageRole::Assistant, answer), message(MessageRole::User, line)];
    transcript.iter().cloned().chain(more).collect()
}
