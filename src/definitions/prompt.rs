//! A prompt: an agent under test that is only a model and its instructions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FieldMappings, MAX_TEMPERATURE};
use crate::events::MAX_ID_CHARS;
use crate::events::schema::LABEL_PATTERN;

/// Who a prompt's own message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptMessage {
    /// Who it is from.
    pub role: PromptRole,
    /// Its text: a template.
    pub content: String,
}

/// A prompt target's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prompt {
    /// The prompt's id.
    #[schemars(length(min = 1, max = MAX_ID_CHARS), regex(pattern = LABEL_PATTERN))]
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
    #[schemars(range(min = 0, max = MAX_TEMPERATURE))]
    pub temperature: Option<f64>,
    /// The most tokens of one reply.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u32>,
    /// Makes answers repeatable where the provider takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How hard a reasoning model is to think, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Names of the variables that the templates read beside the built-in ones.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// What some of its variables stand for; the others find their value by name.
    #[serde(default, skip_serializing_if = "FieldMappings::is_empty")]
    pub field_mappings: FieldMappings,
}
