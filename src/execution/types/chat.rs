//! What is asked of a chat model and what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Criterion, Message};
use crate::definitions::{ResponseFormat, Sampling, ToolChoice};
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
    /// A tool that the model called.
    Tool,
}

/// A message to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// Who it is from.
    pub role: ChatRole,
    /// Its text.
    pub content: String,
    /// Tools that the model called in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool answers with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnsweredCall>,
    /// The message in its provider's own form; see [`ChatReply::verbatim`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<Value>,
}

/// A call of a tool that has its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredCall {
    /// The call's id, where the provider gives one.
    pub id: String,
    /// The tool.
    pub name: String,
}

impl ChatMessage {
    /// A message of `role`.
    #[must_use]
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), answers: None, verbatim: None }
    }

    /// What the model said, and which tools it called.
    #[must_use]
    pub fn calling(content: impl Into<String>, tool_calls: Vec<ToolCall>) -> Self {
        Self { tool_calls, ..Self::new(ChatRole::Assistant, content) }
    }

    /// What a tool answered to `call`.
    #[must_use]
    pub fn answering(call: &ToolCall, content: impl Into<String>) -> Self {
        let answers = AnsweredCall { id: call.id.clone(), name: call.name.clone() };
        Self { answers: Some(answers), ..Self::new(ChatRole::Tool, content) }
    }
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// What else a call of a model may ask for; the provider's defaults where unset.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatOptions {
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// Whether it may, or must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Nucleus sampling, above 0 and at most 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts behind which it says no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// How much a word is avoided for each time that it was said, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// How much a word is avoided that was said at all, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// What the answer has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// More of the provider's request, in the provider's own names.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Whether the answer is taken in bit by bit, which makes no other answer of it.
    #[serde(skip)]
    pub stream: bool,
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
    /// What else is asked for.
    pub options: ChatOptions,
    /// Where in the play this is.
    pub scene: Scene,
}

/// Tokens of a call that are special, where the provider says how many they were. They are among those of its
/// [`TokenUsage`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpecialTokens {
    /// Sent, and read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Sent, and written to the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<u64>,
    /// Came back, and are thoughts that nobody is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl SpecialTokens {
    /// Whether the provider said nothing of them.
    #[must_use]
    pub fn are_unknown(&self) -> bool {
        *self == Self::default()
    }
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
    /// Which of them are special.
    #[serde(default, skip_serializing_if = "SpecialTokens::are_unknown")]
    pub special: SpecialTokens,
    /// The model that answered, where the provider says so.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// Why it stopped, in the provider's word.
    pub finish_reason: Option<String>,
    /// How long its first words took, where they came bit by bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_chunk: Option<Duration>,
    /// The answer in its provider's own form, where the provider wants it back with the results of its tools: thoughts and
    /// signatures are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<Value>,
}
