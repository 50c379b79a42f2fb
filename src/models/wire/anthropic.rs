//! Anthropic messages.
//!
//! A schema is enforced by `output_config.format`, a reasoning effort is `output_config.effort`. There is no seed.
//!
//! Specification: <https://docs.anthropic.com/en/api/messages>.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    UnexpectedAnswer, Wire, below, effort, instructions_and_talk, parse, secret_value, set_if_some, strict,
    tool_call,
};
use crate::events::TokenUsage;
use crate::execution::types::{AnswerForm, ChatMessage, ChatReply, ChatRequest};

/// The version of the API that this file speaks.
const API_VERSION: &str = "2023-06-01";

/// The path segment of that version, which people write into the base URL or leave out.
const VERSION_SEGMENT: &str = "v1";

/// The most tokens of an answer where the request does not say: the API demands a number, and every model
/// since Claude 3.5 accepts this one.
const DEFAULT_MAX_TOKENS: u32 = 8192;

#[derive(Debug)]
pub(super) struct Messages;

impl Wire for Messages {
    fn vendor_base_url(&self) -> &'static str {
        "https://api.anthropic.com"
    }

    fn url(&self, base: Url, _model: &str) -> Url {
        let versioned = base
            .path_segments()
            .is_some_and(|mut path| path.rfind(|s| !s.is_empty()) == Some(VERSION_SEGMENT));
        if versioned { below(base, &["messages"]) } else { below(base, &[VERSION_SEGMENT, "messages"]) }
    }

    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(API_VERSION));
        if let Some(key) = key {
            headers.insert("x-api-key", secret_value(key)?);
        }
        Ok(headers)
    }

    fn body(&self, _url: &Url, model: &str, request: &ChatRequest) -> Value {
        let (system, talk) = instructions_and_talk(&request.messages);
        let messages: Vec<&ChatMessage> = talk.collect();
        let max_tokens = request.sampling.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        let mut body = json!({ "model": model, "max_tokens": max_tokens, "messages": messages });
        set_if_some(&mut body, "system", (!system.is_empty()).then_some(system));
        set_if_some(&mut body, "temperature", request.sampling.temperature);
        set_if_some(&mut body, "output_config", output_config(request));
        if let AnswerForm::Tool(tool) = &request.form {
            body["tools"] = json!([{
                "name": tool.name, "description": tool.description, "input_schema": tool.parameters,
            }]);
            body["tool_choice"] = json!({ "type": "any" });
        }
        body
    }

    fn reply(&self, answer: Value) -> Result<ChatReply, UnexpectedAnswer> {
        let answer: Answer = parse(answer)?;
        let mut reply = ChatReply {
            usage: answer.usage.unwrap_or_default().into(),
            model: answer.model,
            response_id: answer.id,
            finish_reason: answer.stop_reason,
            ..ChatReply::default()
        };
        for block in answer.content {
            match block {
                Block::Text { text } => reply.content.push_str(&text),
                Block::ToolUse { id, name, input } => reply.tool_calls.push(tool_call(id, name, input)),
                Block::Other => {}
            }
        }
        Ok(reply)
    }
}

fn output_config(request: &ChatRequest) -> Option<Value> {
    let mut config = json!({});
    if let AnswerForm::Schema(spec) = &request.form {
        config["format"] = json!({ "type": "json_schema", "schema": strict::fit(&spec.parameters) });
    }
    set_if_some(&mut config, "effort", effort(request));
    (config != json!({})).then_some(config)
}

#[derive(Deserialize)]
struct Answer {
    id: Option<String>,
    model: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: Option<String>,
        name: String,
        #[serde(default)]
        input: Value,
    },
    /// Thoughts and whatever else is not said.
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    #[serde(rename = "input_tokens")]
    fresh: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cached_now: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cached_before: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

impl From<Usage> for TokenUsage {
    /// The API counts tokens from the cache apart; they were sent all the same.
    fn from(usage: Usage) -> Self {
        let input = [usage.fresh, usage.cached_now, usage.cached_before];
        Self {
            input_tokens: input.into_iter().flatten().sum(),
            output_tokens: usage.output.unwrap_or_default(),
            calls: 1,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_path_once() {
        for base in ["http://h", "http://h/", "http://h/v1", "http://h/v1/"] {
            assert_eq!(Messages.url(Url::parse(base).unwrap(), "m").as_str(), "http://h/v1/messages");
        }
        let url = Messages.url(Url::parse("http://h/proxy").unwrap(), "m");
        assert_eq!(url.as_str(), "http://h/proxy/v1/messages");
    }
}
