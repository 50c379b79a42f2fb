//! Chat completions with tools: `OpenAI`, and servers that speak alike (`LiteLLM`, vLLM, Ollama, llama.cpp).
//!
//! A schema is enforced by `response_format`, strictly; a seed and a reasoning effort go out as they are.
//!
//! Specification: <https://platform.openai.com/docs/api-reference/chat>.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, InvalidHeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reasoning::{self, REASONING_EFFORT};
use super::streams::{Chunks, Hearing};
use super::tools::{arguments_text, identified};
use super::{UnexpectedAnswer, Wire, below, parse, secret_value, set_if_some, strict, told, tool_call};
use crate::definitions::{ResponseFormat, ToolChoice};
use crate::events::{TokenUsage, ToolCall};
use crate::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, SpecialTokens, ToolSpec,
};

/// What a schema of replies is called: the API demands a name.
const REPLY: &str = "reply";

/// Hosts whose newer models refuse `max_tokens`; servers elsewhere know only that name.
const HOSTS_OF_MAX_COMPLETION_TOKENS: [&str; 2] = ["api.openai.com", ".openai.azure.com"];

#[derive(Debug)]
pub(super) struct ChatCompletions;

impl Wire for ChatCompletions {
    fn vendor_base_url(&self) -> &'static str {
        "https://api.openai.com/v1"
    }

    fn key_is_optional_elsewhere(&self) -> bool {
        true
    }

    fn url(&self, base: Url, _model: &str) -> Url {
        below(base, &["chat", "completions"])
    }

    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, secret_value(&format!("Bearer {key}"))?);
        }
        Ok(headers)
    }

    fn body(&self, url: &Url, model: &str, request: &ChatRequest) -> Value {
        let messages: Value = identified(&request.messages).iter().map(message).collect();
        let mut body = json!({ "model": model, "messages": messages });
        set_if_some(&mut body, "temperature", request.sampling.temperature);
        set_if_some(&mut body, max_tokens_key(url), request.sampling.max_tokens);
        set_if_some(&mut body, "seed", request.sampling.seed);
        set_if_some(&mut body, REASONING_EFFORT, request.sampling.reasoning_effort.as_deref());
        set_form(&mut body, &request.form);
        set_options(&mut body, &request.options);
        body
    }

    fn hearing(&self) -> Box<dyn Hearing> {
        Box::new(Chunks::default())
    }

    fn without_reasoning(&self, body: &Value) -> Option<Value> {
        reasoning::turned_off(body)
    }

    fn reply(&self, answer: Value) -> Result<ChatReply, UnexpectedAnswer> {
        let special = SpecialTokens {
            cache_read: told(&answer, "/usage/prompt_tokens_details/cached_tokens"),
            cache_creation: None,
            reasoning: told(&answer, "/usage/completion_tokens_details/reasoning_tokens"),
        };
        let answer: Answer = parse(answer)?;
        let Some(choice) = answer.choices.into_iter().next() else {
            return Err(UnexpectedAnswer::Lacking("has no choices".to_owned()));
        };
        let Message { content, refusal, tool_calls } = choice.message;
        Ok(ChatReply {
            content: content.or(refusal).map(Content::into_text).unwrap_or_default(),
            tool_calls: tool_calls.unwrap_or_default().into_iter().map(Call::into_tool_call).collect(),
            usage: answer.usage.unwrap_or_default().into(),
            special,
            model: answer.model,
            response_id: answer.id,
            finish_reason: choice.finish_reason,
            ..ChatReply::default()
        })
    }
}

fn set_form(body: &mut Value, form: &AnswerForm) {
    match form {
        AnswerForm::Words | AnswerForm::Json(_) => {}
        AnswerForm::Tool(tool) => {
            body["tools"] = json!([function(tool)]);
            body["tool_choice"] = json!("required");
        }
        AnswerForm::Schema(spec) => {
            body["response_format"] = json!({ "type": "json_schema", "json_schema": {
                "name": spec.name, "schema": strict::fit(&spec.parameters), "strict": true,
            }});
        }
    }
}

fn function(tool: &ToolSpec) -> Value {
    json!({ "type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": tool.parameters,
    }})
}

fn set_options(body: &mut Value, options: &ChatOptions) {
    set_if_some(body, "top_p", options.top_p);
    set_if_some(body, "frequency_penalty", options.frequency_penalty);
    set_if_some(body, "presence_penalty", options.presence_penalty);
    set_if_some(body, "stop", (!options.stop.is_empty()).then(|| options.stop.clone()));
    set_if_some(body, "response_format", options.response_format.as_ref().and_then(response_format));
    if !options.tools.is_empty() {
        body["tools"] = options.tools.iter().map(function).collect();
        set_if_some(body, "tool_choice", options.tool_choice.as_ref().map(tool_choice));
    }
    if options.stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
}

fn response_format(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::Json => Some(json!({ "type": "json_object" })),
        ResponseFormat::Schema(schema) => Some(json!({ "type": "json_schema", "json_schema": {
            "name": REPLY, "schema": schema, "strict": true,
        }})),
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Tool(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}

fn message(message: &ChatMessage) -> Value {
    let ChatMessage { role, content, tool_calls, answers, .. } = message;
    let mut said = json!({ "role": role, "content": content });
    if !tool_calls.is_empty() {
        let calls = tool_calls.iter().map(|call| {
            let function = json!({ "name": call.name, "arguments": arguments_text(&call.arguments) });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        said["tool_calls"] = calls.collect();
        if content.is_empty() {
            said["content"] = Value::Null;
        }
    }
    set_if_some(&mut said, "tool_call_id", answers.as_ref().map(|call| call.id.as_str()));
    said
}

fn max_tokens_key(url: &Url) -> &'static str {
    let host = url.host_str().unwrap_or_default();
    if HOSTS_OF_MAX_COMPLETION_TOKENS.iter().any(|known| host.ends_with(known)) {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

#[derive(Deserialize)]
struct Answer {
    id: Option<String>,
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
    refusal: Option<Content>,
    tool_calls: Option<Vec<Call>>,
}

/// A text, or typed parts of which some are text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        }
    }
}

impl Call {
    fn into_tool_call(self) -> ToolCall {
        tool_call(self.id, self.function.name, self.function.arguments)
    }
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens.unwrap_or_default(),
            output_tokens: usage.completion_tokens.unwrap_or_default(),
            calls: 1,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_text_are_joined_and_a_refusal_is_what_was_said() {
        let reply =
            |message: Value| ChatCompletions.reply(json!({ "choices": [{ "message": message }] })).unwrap();
        let parts = json!([{ "type": "thinking", "thinking": [] }, { "type": "text", "text": "hi" }]);
        assert_eq!(reply(json!({ "content": parts })).content, "hi");
        assert_eq!(reply(json!({ "content": null, "refusal": "I will not" })).content, "I will not");
    }

    #[test]
    fn only_the_vendor_gets_the_newer_name_of_the_token_limit() {
        let key = |url: &str| max_tokens_key(&Url::parse(url).unwrap());
        assert_eq!(key("https://api.openai.com/v1/chat/completions"), "max_completion_tokens");
        assert_eq!(key("https://x.openai.azure.com/openai/v1/chat/completions"), "max_completion_tokens");
        assert_eq!(key("http://127.0.0.1:11434/v1/chat/completions"), "max_tokens");
    }
}
