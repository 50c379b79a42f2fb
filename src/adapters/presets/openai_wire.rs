//! What the two interfaces of `OpenAI` have in common.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::adapters::http::request::unusable;
use crate::adapters::template::JsonTemplate;
use crate::adapters::template::Variables;
use crate::events::{TokenUsage, ToolCall};
use crate::execution::failure::RunFailure;
use crate::execution::types::Message;

/// What people write about an agent with such an interface.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound = "Extra: DeserializeOwned")]
pub(super) struct OpenAiDefinition<Extra> {
    /// The model, as the server names it.
    #[serde(default)]
    pub(super) model: Option<String>,
    /// Whether to ask for a stream.
    #[serde(default)]
    pub(super) stream: bool,
    /// More fields of the body; texts are templates.
    #[serde(default)]
    pub(super) body: Map<String, Value>,
    /// What the interface has of its own.
    #[serde(default)]
    pub(super) history: Option<Extra>,
}

/// The part of the body that is the definition's.
pub(super) struct Body {
    model: Option<String>,
    pub(super) stream: bool,
    more: JsonTemplate,
}

impl Body {
    /// Checks the definition's part. `own` are the fields that are not the definition's.
    pub(super) fn new(
        model: Option<String>,
        stream: bool,
        more: Map<String, Value>,
        own: &[&str],
    ) -> Result<Self, String> {
        if let Some(name) = own.iter().find(|name| more.contains_key(**name)) {
            return Err(format!("body.{name}: it is filled in for each turn and cannot be set"));
        }
        Ok(Self { model, stream, more: JsonTemplate::compile("body", &Value::Object(more))? })
    }

    /// The body without what was said.
    pub(super) fn render(&self, variables: &Variables) -> Result<Value, RunFailure> {
        let mut body = self.more.render(variables).map_err(|error| unusable(error.to_string()))?;
        if let Some(model) = &self.model {
            body["model"] = json!(model);
        }
        if self.stream {
            body["stream"] = json!(true);
        }
        Ok(body)
    }
}

/// A message as both interfaces take it.
pub(super) fn message(message: &Message) -> Value {
    json!({ "role": message.role, "content": message.content })
}

/// Tokens, by whichever names.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(alias = "prompt_tokens")]
    input_tokens: Option<u64>,
    #[serde(alias = "completion_tokens")]
    output_tokens: Option<u64>,
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens.unwrap_or_default(),
            output_tokens: usage.output_tokens.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// An error as servers write it: an object with a message, or a text.
pub(super) fn error_words(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    match (text("message"), text("code").or(text("type"))) {
        (Some(message), Some(code)) => format!("{message} ({code})"),
        (Some(message), None) => message.to_owned(),
        (None, _) => error.as_str().map_or_else(|| error.to_string(), str::to_owned),
    }
}

/// A tool call whose arguments came as JSON or as a text of JSON. A text that is no JSON stays a text.
pub(super) fn tool_call(id: Option<String>, name: String, arguments: Value) -> ToolCall {
    let arguments = match arguments {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        arguments => arguments,
    };
    ToolCall { id: id.unwrap_or_default(), name, arguments }
}
