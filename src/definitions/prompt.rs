//! A prompt: an agent under test that is only a model and its instructions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FieldMappings, PromptTool, ResponseFormat, ToolChoice};

/// Who a prompt's own message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptRole {
    /// Instructions.
    System,
    /// The customer.
    User,
    /// The agent.
    Assistant,
}

/// A message that a prompt brings along, before the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptMessage {
    /// Who it is from.
    pub role: PromptRole,
    /// Its text: a template.
    pub content: String,
}

/// A prompt target's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prompt {
    /// The prompt's id.
    pub id: String,
    /// The instructions: a template.
    pub system_prompt: String,
    /// Messages before the conversation.
    #[serde(default)]
    pub messages: Vec<PromptMessage>,
    /// The model as `provider/model`; the project's default where none is given.
    #[serde(default)]
    pub model: Option<String>,
    /// Sampling temperature.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The most tokens of one reply.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Makes answers repeatable where the provider takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How hard a reasoning model is to think, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Nucleus sampling, above 0 and at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts behind which the model says no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// How much a word is avoided for each time that it was said, -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// How much a word is avoided that was said at all, -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// What a reply has to be, which the provider sees to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// More of the provider's request, in the provider's own names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Tools that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<PromptTool>,
    /// Whether it may call them in its first answer of a turn; it may where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// How often the model is asked again in one turn, with the results of its tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tool_rounds: Option<u32>,
    /// Whether replies are taken in bit by bit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// Names of the variables that the templates read beside the built-in ones.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// What some of its variables stand for; the others find their value by name.
    #[serde(default, skip_serializing_if = "FieldMappings::is_empty")]
    pub field_mappings: FieldMappings,
}
