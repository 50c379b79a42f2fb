//! The tools of a prompt, and the form of its replies.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A tool that a prompt offers its model. Nothing stands behind it but the result that it declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptTool {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, an object.
    #[serde(default = "no_arguments")]
    pub parameters: Value,
    /// What it answers: JSON whose texts are templates. A call of a tool without a result ends the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

fn no_arguments() -> Value {
    json!({ "type": "object", "properties": {} })
}

/// Whether a model may call tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// It may not.
    None,
    /// It must call some.
    Required,
    /// It must call this one.
    Tool(String),
}

/// What a reply has to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseFormat {
    /// Any words.
    Text,
    /// JSON.
    Json,
    /// JSON of this schema.
    Schema(Value),
}
