//! What is asked of a chat model and what it answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Criterion, Message};
use crate::events::{TokenUsage, ToolCall};

/// Who a chat message is from, as models see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Instructions.
    System,
    /// The model's counterpart.
    User,
    /// The model.
    Assistant,
}

/// A message to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who it is from.
    pub role: ChatRole,
    /// Its text.
    pub content: String,
}

impl ChatMessage {
    /// A message of `role`.
    #[must_use]
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A tool that the model must call: the only one offered, with tool choice `required`.
///
/// Exactly one, because some servers ignore the form that pins a tool by name and answer 200 all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ForcedTool(pub ToolSpec);

/// Which part a model plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SceneRole {
    /// The simulated customer.
    UserSimulator,
    /// The agent under test.
    Target,
    /// The judge.
    Judge,
}

/// Where in the play a call is made. Offline models play by it; real providers never see it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Which part the model plays.
    pub role: SceneRole,
    /// The turn, from 1.
    pub turn: u32,
    /// What was said so far.
    pub transcript: Arc<[Message]>,
    /// What the judge decides.
    pub criteria: Arc<[Criterion]>,
}

/// A call of a chat model.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The messages, oldest first.
    pub messages: Vec<ChatMessage>,
    /// A tool that the model must call, if its answer has to have a shape.
    pub tool: Option<ForcedTool>,
    /// Sampling temperature; the provider's default where unset.
    pub temperature: Option<f64>,
    /// The most tokens of the answer; the provider's default where unset.
    pub max_tokens: Option<u32>,
    /// Where in the play this is.
    pub scene: Scene,
}

/// What a chat model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatReply {
    /// Its text; empty if it only called tools.
    pub content: String,
    /// The tools that it called.
    pub tool_calls: Vec<ToolCall>,
    /// Tokens of this call.
    pub usage: TokenUsage,
    /// The model that answered, where the provider says so.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// Why it stopped, in the provider's word.
    pub finish_reason: Option<String>,
}
