//! Anthropic messages.
//!
//! A schema is enforced by `output_config.format`, a reasoning effort is `output_config.effort`. There are no seed and no
//! penalties, and no JSON without a schema.
//!
//! Specification: <https://docs.anthropic.com/en/api/messages>.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::streams::{Hearing, MessageEvents};
use super::tools::{answers_together, arguments_object, identified};
use super::{
    UnexpectedAnswer, Wire, below, effort, instructions_and_talk, parse, secret_value, set_if_some, strict,
    tool_call, unknown,
};
use crate::definitions::{ResponseFormat, Sampling, ToolChoice};
use crate::events::TokenUsage;
use crate::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, SpecialTokens, ToolSpec,
};

/// The version of the API that this file speaks.
const API_VERSION: &str = "2023-06-01";

/// The path segment of that version, which people write into the base URL or leave out.
const VERSION_SEGMENT: &str = "v1";

/// The most tokens of an answer where the request does not say: the API demands a number, and every model
/// since Claude 3.5 accepts this one.
const DEFAULT_MAX_TOKENS: u32 = 8192;

/// The highest temperature that the API takes.
const MAX_TEMPERATURE: f64 = 1.0;

/// What a message's content is called.
const CONTENT: &str = "content";

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
        let messages = identified(&request.messages);
        let (system, talk) = instructions_and_talk(&messages);
        let messages = turns(talk);
        let max_tokens = request.sampling.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        let mut body = json!({ "model": model, "max_tokens": max_tokens, "messages": messages });
        set_if_some(&mut body, "system", (!system.is_empty()).then_some(system));
        set_if_some(&mut body, "temperature", request.sampling.temperature);
        set_if_some(&mut body, "output_config", output_config(request));
        if let AnswerForm::Tool(tool) = &request.form {
            body["tools"] = json!([offered(tool)]);
            body["tool_choice"] = json!({ "type": "any" });
        }
        set_options(&mut body, &request.options);
        body
    }

    fn objection(&self, sampling: &Sampling, options: &ChatOptions) -> Option<String> {
        let settings = [
            ("seed", sampling.seed.is_some()),
            ("frequencyPenalty", options.frequency_penalty.is_some()),
            ("presencePenalty", options.presence_penalty.is_some()),
            ("responseFormat: json", options.response_format == Some(ResponseFormat::Json)),
        ];
        let too_hot = sampling.temperature.filter(|temperature| *temperature > MAX_TEMPERATURE);
        unknown(&settings).or_else(|| {
            too_hot.map(|temperature| {
                format!("takes a `temperature` of at most {MAX_TEMPERATURE}, not of {temperature}")
            })
        })
    }

    fn hearing(&self) -> Box<dyn Hearing> {
        Box::new(MessageEvents::default())
    }

    fn reply(&self, answer: Value) -> Result<ChatReply, UnexpectedAnswer> {
        let blocks = answer.get(CONTENT).and_then(Value::as_array).cloned().unwrap_or_default();
        let answer: Answer = parse(answer)?;
        let usage = answer.usage.unwrap_or_default();
        let mut reply = ChatReply {
            special: usage.special(),
            usage: usage.into(),
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
        reply.verbatim = (!reply.tool_calls.is_empty()).then(|| verbatim(blocks, &reply));
        Ok(reply)
    }
}

/// The answer as the API takes it back: without empty texts, and with the arguments as objects.
fn verbatim(blocks: Vec<Value>, reply: &ChatReply) -> Value {
    let mut calls = reply.tool_calls.iter();
    let said = blocks.into_iter().filter(|block| block["type"] != "text" || block["text"] != "");
    let said = said.map(|mut block| {
        let call = if block["type"] == "tool_use" { calls.next() } else { None };
        if let Some(call) = call {
            block["input"] = arguments_object(&call.arguments);
        }
        block
    });
    said.collect()
}

/// What was said, with the answers of tools as what the counterpart says.
fn turns<'a>(talk: impl Iterator<Item = &'a ChatMessage>) -> Value {
    let turn = |together: Vec<&ChatMessage>| match together.as_slice() {
        [one] if one.answers.is_none() => turn(one),
        answers => {
            json!({ "role": ChatRole::User, CONTENT: answers.iter().copied().map(result).collect::<Value>() })
        }
    };
    answers_together(talk).into_iter().map(turn).collect()
}

fn result(message: &ChatMessage) -> Value {
    let id = message.answers.as_ref().map(|call| call.id.as_str());
    json!({ "type": "tool_result", "tool_use_id": id, CONTENT: message.content })
}

fn turn(message: &ChatMessage) -> Value {
    let ChatMessage { role, content, tool_calls, verbatim, .. } = message;
    if let Some(verbatim) = verbatim {
        return json!({ "role": role, CONTENT: verbatim });
    }
    if tool_calls.is_empty() {
        return json!({ "role": role, CONTENT: content });
    }
    let text = (!content.trim().is_empty()).then(|| json!({ "type": "text", "text": content }));
    let calls = tool_calls.iter().map(|call| {
        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": arguments_object(&call.arguments) })
    });
    json!({ "role": role, CONTENT: text.into_iter().chain(calls).collect::<Value>() })
}

fn offered(tool: &ToolSpec) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters })
}

fn set_options(body: &mut Value, options: &ChatOptions) {
    set_if_some(body, "top_p", options.top_p);
    set_if_some(body, "stop_sequences", (!options.stop.is_empty()).then(|| options.stop.clone()));
    set_if_some(body, "stream", options.stream.then_some(true));
    if !options.tools.is_empty() {
        body["tools"] = options.tools.iter().map(offered).collect();
        set_if_some(body, "tool_choice", options.tool_choice.as_ref().map(tool_choice));
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::None => json!({ "type": "none" }),
        ToolChoice::Required => json!({ "type": "any" }),
        ToolChoice::Tool(name) => json!({ "type": "tool", "name": name }),
    }
}

fn output_config(request: &ChatRequest) -> Option<Value> {
    let mut config = json!({});
    if let Some(ResponseFormat::Schema(schema)) = &request.options.response_format {
        config["format"] = json!({ "type": "json_schema", "schema": schema });
    }
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

impl Usage {
    /// The API does not tell thoughts from what is said.
    fn special(&self) -> SpecialTokens {
        SpecialTokens { cache_read: self.cached_before, cache_creation: self.cached_now, reasoning: None }
    }
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
