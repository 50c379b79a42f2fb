//! What is asked of a chat model and what it answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Criterion, Message};
use crate::definitions::Sampling;
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

/// The shape that an answer has to have, and how the model is brought to it.
///
/// Exactly one tool, because some servers ignore the form that pins a tool by name and answer 200 all the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum AnswerForm {
    /// Any words.
    #[default]
    Words,
    /// A call of this tool: the only one offered, with tool choice `required`.
    Tool(ToolSpec),
    /// Words that are JSON by the tool's schema, which the provider enforces.
    Schema(ToolSpec),
    /// Words that are JSON by the tool's schema, which the messages alone ask for.
    Json(ToolSpec),
}

impl AnswerForm {
    /// What the answer has to be, whatever way the model is brought to it.
    #[must_use]
    pub fn spec(&self) -> Option<&ToolSpec> {
        match self {
            Self::Words => None,
            Self::Tool(spec) | Self::Schema(spec) | Self::Json(spec) => Some(spec),
        }
    }
}

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
    /// The shape that the answer has to have.
    pub form: AnswerForm,
    /// How the model is to think; the provider's defaults where unset.
    pub sampling: Sampling,
    /// Where in the play this is.
    pub scene: Scene,
}

/// What a chat model answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
