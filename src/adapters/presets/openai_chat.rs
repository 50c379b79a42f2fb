//! Targets of type `openai_chat`: agents behind chat completions, as `OpenAI` has them and many servers do alike.
//!
//! The whole conversation goes out with every turn, so nothing is kept between turns.
//!
//! Specification: <https://platform.openai.com/docs/api-reference/chat>.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::Preset;
use super::openai_wire::{Body, OpenAiDefinition, Usage, error_words, message, tool_call};
use super::unseen::said;
use crate::adapters::http::line::{Call, Events, below};
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

/// The path below the base URL.
const PATH: [&str; 2] = ["chat", "completions"];
/// Fields of the body that are not the definition's.
const OWN: [&str; 4] = ["model", "messages", "stream", "n"];
/// Ends a stream.
const DONE: &str = "[DONE]";

/// Chat completions have nothing of their own to be said.
#[derive(Deserialize)]
pub(super) enum Nothing {}

/// An agent behind chat completions.
pub(super) struct OpenAiChat {
    body: Body,
}

#[async_trait]
impl Preset for OpenAiChat {
    const KIND: &'static str = "openai_chat";
    const NAME: &'static str = "OpenAI chat agent";
    const TELLS_TOOL_CALLS: bool = true;
    type Definition = OpenAiDefinition<Nothing>;

    fn from_definition(definition: Self::Definition) -> Result<Self, String> {
        let OpenAiDefinition { model, stream, body, history: _ } = definition;
        Ok(Self { body: Body::new(model, stream, body, &OWN)? })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let mut body = self.body.render(&call.variables())?;
        body["messages"] = said(call.turn, 0).map(|(_, said)| message(said)).collect();
        if self.body.stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        let mut request = call.asking(&body)?;
        below(&mut request.url, &PATH);
        let answer = call.send(request).await?.accepted().await?;
        if answer.is_events() {
            return streamed(call, answer.events()).await;
        }
        let whole = read(call, answer.json().await?)?;
        Gathered::default().with(whole).into_reply(call)
    }
}

/// An answer, or a piece of one.
#[derive(Deserialize)]
struct Completion {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
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
struct CallPiece {
    index: Option<usize>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

fn read(call: &Call<'_>, answer: Value) -> Result<Completion, RunFailure> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(call.agent_error(&error_words(error)));
    }
    Completion::deserialize(answer).map_err(|error| call.invalid(&error.to_string()))
}

async fn streamed(call: &Call<'_>, mut events: Events) -> Result<TargetReply, RunFailure> {
    let mut gathered = Gathered::default();
    while let Some(event) = events.next().await? {
        if event.data.trim() == DONE {
            return gathered.into_reply(call);
        }
        if event.data.trim().is_empty() {
            continue;
        }
        gathered = gathered.with(read(call, events.parse(&event.data)?)?);
    }
    // Some servers leave the marker out; what nothing ends was cut off.
    if gathered.finished { gathered.into_reply(call) } else { Err(events.broke_off()) }
}

/// The answer as far as it has arrived.
#[derive(Default)]
struct Gathered {
    any: bool,
    content: String,
    refusal: String,
    calls: BTreeMap<usize, (Option<String>, String, Arguments)>,
    usage: Usage,
    finished: bool,
}

/// Arguments: bits of a text of JSON, or JSON.
#[derive(Default)]
struct Arguments {
    text: String,
    json: Option<Value>,
}

impl Gathered {
    fn with(mut self, piece: Completion) -> Self {
        self.usage = piece.usage.unwrap_or(self.usage);
        let Some(choice) = piece.choices.unwrap_or_default().into_iter().next() else { return self };
        self.any = true;
        self.finished |= choice.finish_reason.is_some();
        let Some(delta) = choice.delta else { return self };
        match delta.content {
            Some(Content::Text(text)) => self.content.push_str(&text),
            Some(Content::Parts(parts)) => parts.iter().for_each(|part| self.content.push_str(&part.text)),
            None => {}
        }
        self.refusal.push_str(&delta.refusal.unwrap_or_default());
        for (position, piece) in delta.tool_calls.unwrap_or_default().into_iter().enumerate() {
            self.add_call(position, piece);
        }
        self
    }

    fn add_call(&mut self, position: usize, piece: CallPiece) {
        let (id, name, arguments) = self.calls.entry(piece.index.unwrap_or(position)).or_default();
        *id = piece.id.or(id.take());
        let Some(function) = piece.function else { return };
        name.push_str(&function.name.unwrap_or_default());
        match function.arguments {
            Some(Value::String(text)) => arguments.text.push_str(&text),
            other => arguments.json = other.or(arguments.json.take()),
        }
    }

    fn into_reply(self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        if !self.any {
            return Err(call.invalid("it has no choices"));
        }
        let calls = self.calls.into_values().map(|(id, name, arguments)| {
            tool_call(id, name, arguments.json.unwrap_or(Value::String(arguments.text)))
        });
        let tool_calls = calls.collect();
        let content = if self.content.is_empty() { self.refusal } else { self.content };
        Ok(TargetReply { content, tool_calls, usage: self.usage.into(), ..TargetReply::default() })
    }
}
