//! The APIs of model providers: what is sent where, and what an answer means.

mod anthropic;
pub(super) mod extra;
mod gemini;
mod openai;
pub(super) mod reasoning;
mod shape;
pub(super) mod streams;
mod strict;
mod tools;

use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::streams::Hearing;
use crate::definitions::{ProviderKind, Sampling};
use crate::events::ToolCall;
use crate::execution::types::{ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole};
use crate::json::Verbatim;

/// One provider API.
pub(super) trait Wire: fmt::Debug + Send + Sync {
    /// The vendor's own base URL.
    fn vendor_base_url(&self) -> &'static str;

    /// Whether servers at other addresses than the vendor's do without a key.
    fn key_is_optional_elsewhere(&self) -> bool {
        false
    }

    /// Where calls of `model` are posted below `base`.
    fn url(&self, base: Url, model: &str) -> Url;

    /// The headers of every call: the key, and what the API asks for.
    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue>;

    /// The body of a call to `url`.
    fn body(&self, url: &Url, model: &str, request: &ChatRequest) -> Value;

    /// Why no model of this API can be asked with these settings, in words that follow on its name.
    fn objection(&self, _sampling: &Sampling, _options: &ChatOptions) -> Option<String> {
        None
    }

    /// Where calls are posted whose answers come bit by bit, instead of to `url`.
    fn stream_url(&self, url: &Url) -> Url {
        url.clone()
    }

    /// Takes in an answer that comes bit by bit. What comes of it is an answer in one piece.
    fn hearing(&self) -> Box<dyn Hearing>;

    /// `body` with reasoning turned off, where that may help a call which is refused for it.
    fn without_reasoning(&self, _body: &Value) -> Option<Value> {
        None
    }

    /// What an answer says.
    fn reply(&self, answer: Value) -> Result<ChatReply, UnexpectedAnswer>;
}

/// An answer that is JSON but not what the API answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnexpectedAnswer {
    /// The JSON has another shape.
    #[error("the answer has another shape than expected: {0}")]
    Shape(String),
    /// It lacks what it is about.
    #[error("the answer {0}")]
    Lacking(String),
}

/// The API of a provider; none for the offline kind.
pub(super) fn of(kind: ProviderKind) -> Option<&'static dyn Wire> {
    match kind {
        ProviderKind::Openai => Some(&openai::ChatCompletions),
        ProviderKind::Anthropic => Some(&anthropic::Messages),
        ProviderKind::Gemini => Some(&gemini::GenerateContent),
        ProviderKind::Scripted => None,
    }
}

/// `base` with more path segments, whether or not it ends in a slash. A query stays.
fn below(mut base: Url, segments: &[&str]) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    base
}

/// How many tokens stand at `place` of an answer; `None` where it does not say, or not with a number.
fn told(answer: &Value, place: &str) -> Option<u64> {
    answer.pointer(place)?.as_u64()
}

/// A header value that `Debug` does not show.
fn secret_value(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The instructions in one text, and what was said without blank messages, which some APIs refuse.
fn instructions_and_talk(messages: &[ChatMessage]) -> (String, impl Iterator<Item = &ChatMessage>) {
    let is_said = |message: &&ChatMessage| {
        let about_tools = !message.tool_calls.is_empty() || message.answers.is_some();
        about_tools || !message.content.trim().is_empty()
    };
    let spoken = move || messages.iter().filter(is_said);
    let system: Vec<&str> = spoken()
        .filter(|message| message.role == ChatRole::System)
        .map(|message| &*message.content)
        .collect();
    (system.join("\n\n"), spoken().filter(|message| message.role != ChatRole::System))
}

/// Sets `key` where there is a value.
fn set_if_some(body: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[key] = value.into();
    }
}

/// Says which of these settings, by whether they are set, an API does not know.
fn unknown(settings: &[(&str, bool)]) -> Option<String> {
    let set = settings.iter().filter(|(_, is_set)| *is_set);
    let names: Vec<String> = set.map(|(name, _)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("does not know {}", names.join(" and ")))
}

/// The effort that a model is asked for. `none` is a word of chat completions alone: elsewhere a model reasons
/// only where it is told to.
fn effort(request: &ChatRequest) -> Option<&str> {
    request.sampling.reasoning_effort.as_deref().filter(|effort| *effort != reasoning::NONE)
}

fn parse<T: DeserializeOwned>(answer: Value) -> Result<T, UnexpectedAnswer> {
    serde_path_to_error::deserialize(answer).map_err(|error| UnexpectedAnswer::Shape(shape::in_words(&error)))
}

/// A tool call with its arguments as JSON, whether they came as JSON or as a text of JSON.
///
/// A text that is not JSON, or contradicts itself, is kept as a text: whoever reads the arguments sees what the model said.
fn tool_call(id: Option<String>, name: String, arguments: Value) -> ToolCall {
    let arguments = match arguments {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => unambiguous(&text).unwrap_or(Value::String(text)),
        arguments => arguments,
    };
    ToolCall { id: id.unwrap_or_default(), name, arguments }
}

/// The JSON of `text`, unless a key in it has two values.
fn unambiguous(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let Verbatim(said) = serde_json::from_str(text).ok()?;
    (said == value).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_appended_with_and_without_a_trailing_slash() {
        for base in ["http://h/v1", "http://h/v1/"] {
            let url = below(Url::parse(base).unwrap(), &["chat", "completions"]);
            assert_eq!(url.as_str(), "http://h/v1/chat/completions");
        }
        let url = below(Url::parse("http://h/v1?api-version=2").unwrap(), &["chat"]);
        assert_eq!(url.as_str(), "http://h/v1/chat?api-version=2");
    }

    #[test]
    fn arguments_that_are_not_json_are_kept_as_text() {
        let arguments = |value| tool_call(None, "t".into(), value).arguments;
        assert_eq!(arguments(json!("{\"a\":1}")), json!({"a": 1}));
        assert_eq!(arguments(json!({"a": 1})), json!({"a": 1}));
        assert_eq!(arguments(json!("{\"a\":")), json!("{\"a\":"));
        assert_eq!(arguments(json!("{\"a\":1,\"a\":2}")), json!("{\"a\":1,\"a\":2}"));
        assert_eq!([arguments(Value::Null), arguments(json!(" "))], [json!({}), json!({})]);
    }
}
