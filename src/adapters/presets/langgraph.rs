//! Targets of type `langgraph`: graphs behind a LangGraph server.
//!
//! A run has a thread whose id is derived from the run, created with its first message. Messages have ids that are derived too: one
//! that is sent again takes the place of itself.
//!
//! Specification: <https://langchain-ai.github.io/langgraph/cloud/reference/api/api_ref.html>.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::adapter::Preset;
use super::ids;
use super::openai_wire::{Usage, error_words, tool_call};
use super::remembered::{remember, remembered};
use super::unseen::{first_unseen, heard_after, said};
use crate::adapters::http::line::{Call, Events, below};
use crate::adapters::http::path::{ReplyPath, words};
use crate::adapters::http::request::unusable;
use crate::adapters::template::JsonTemplate;
use crate::adapters::template::last_line;
use crate::events::{TokenUsage, ToolCall};
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

/// What people write about a graph.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LangGraphDefinition {
    /// The assistant's id, or the graph's name.
    assistant: String,
    /// Whether to ask for a stream.
    #[serde(default)]
    stream: bool,
    /// Who keeps the conversation.
    #[serde(default)]
    thread: ThreadDefinition,
    /// More of the graph's input; texts are templates.
    #[serde(default)]
    input: Map<String, Value>,
    /// The run's configuration; texts are templates.
    #[serde(default)]
    config: Map<String, Value>,
    /// The run's context; texts are templates.
    #[serde(default)]
    context: Map<String, Value>,
    /// Where in the graph's last state its words are: a `JSONPath`.
    #[serde(default)]
    output_path: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThreadDefinition {
    /// A thread a run.
    #[default]
    Run,
    /// Nobody: every turn sends all of it.
    None,
}

/// A graph.
pub(super) struct LangGraph {
    assistant: String,
    stream: bool,
    thread: ThreadDefinition,
    parts: [(&'static str, JsonTemplate); 3],
    output: Option<ReplyPath>,
}

#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    heard: Option<usize>,
    /// The graph waits for an answer to what it asked.
    interrupted: bool,
}

#[async_trait]
impl Preset for LangGraph {
    const KIND: &'static str = "langgraph";
    const NAME: &'static str = "LangGraph agent";
    const TELLS_TOOL_CALLS: bool = true;
    type Definition = LangGraphDefinition;

    fn from_definition(definition: LangGraphDefinition) -> Result<Self, String> {
        let LangGraphDefinition { assistant, stream, thread, input, config, context, output_path } =
            definition;
        if input.contains_key("messages") {
            return Err("input.messages: it is filled in for each turn and cannot be set".to_owned());
        }
        let part = |name, map| Ok::<_, String>((name, JsonTemplate::compile(name, &Value::Object(map))?));
        let parts = [part("input", input)?, part("config", config)?, part("context", context)?];
        let output = ReplyPath::parse_written("outputPath", output_path.as_ref())?;
        Ok(Self { assistant, stream, thread, parts, output })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let mut request = call.asking(&self.body(call)?)?;
        let thread = ids::conversation(call.turn.run).to_string();
        if self.thread == ThreadDefinition::Run {
            below(&mut request.url, &["threads", &thread]);
        }
        below(&mut request.url, &["runs", if self.stream { "stream" } else { "wait" }]);
        let answer = call.send(request).await?.accepted().await?;
        let state =
            if answer.is_events() { last_state(call, answer.events()).await? } else { answer.json().await? };
        self.conclude(call, &state)
    }
}

impl LangGraph {
    fn body(&self, call: &Call<'_>) -> Result<Value, RunFailure> {
        let variables = call.variables();
        let mut body = json!({ "assistant_id": self.assistant, "on_disconnect": "cancel" });
        for (name, part) in &self.parts {
            let part = part.render(&variables).map_err(|error| unusable(error.to_string()))?;
            if part.as_object().is_some_and(|part| !part.is_empty()) {
                body[name] = part;
            }
        }
        if self.stream {
            body["stream_mode"] = json!(["values"]);
        }
        if self.thread == ThreadDefinition::Run {
            // A run that a lost worker left behind must not answer beside this one.
            body["if_not_exists"] = json!("create");
            body["multitask_strategy"] = json!("rollback");
        }
        self.put_line(call, &mut body)?;
        Ok(body)
    }

    /// A graph that waits is answered; any other gets what it has not heard.
    fn put_line(&self, call: &Call<'_>, body: &mut Value) -> Result<(), RunFailure> {
        let remembered: Remembered = remembered(call.turn.session)?;
        if remembered.interrupted {
            body["command"] = json!({ "resume": last_line(call.turn) });
            if let Some(body) = body.as_object_mut() {
                body.remove("input");
            }
            return Ok(());
        }
        let first = match self.thread {
            ThreadDefinition::Run => first_unseen(call.turn, remembered.heard),
            ThreadDefinition::None => 0,
        };
        let message = |(index, message): (usize, &crate::execution::types::Message)| json!({ "id": ids::message(call.turn, index).to_string(), "role": message.role, "content": message.content });
        body["input"]["messages"] = said(call.turn, first).map(message).collect();
        Ok(())
    }

    fn conclude(&self, call: &Call<'_>, state: &Value) -> Result<TargetReply, RunFailure> {
        if let Some(error) = state.get("__error__") {
            return Err(call.agent_error(&named_error(error)));
        }
        if !state.is_object() && self.output.is_none() {
            return Err(call.invalid("the graph's state is no map; set outputPath"));
        }
        let interrupts = state.get("__interrupt__").and_then(Value::as_array).filter(|list| !list.is_empty());
        let interrupted = interrupts.is_some() && self.thread == ThreadDefinition::Run;
        let reply = match (interrupts, &self.output) {
            (Some(interrupts), _) => told(asked(interrupts)),
            (None, Some(path)) => {
                let found = path.first(state).map(words);
                told(found.ok_or_else(|| call.nothing_at(&path.to_string()))?)
            }
            (None, None) => reply_of(call, state)?,
        };
        let session = remember(&Remembered { heard: Some(heard_after(call.turn)), interrupted });
        Ok(TargetReply { session: Some(session), ..reply })
    }
}

/// Words beside which nobody says what tools were called.
fn told(content: String) -> TargetReply {
    TargetReply { content, tool_calls_unknown: true, ..TargetReply::default() }
}

/// The state that ends the stream.
async fn last_state(call: &Call<'_>, mut events: Events) -> Result<Value, RunFailure> {
    let mut state = None;
    while let Some((name, data)) = events.next_json().await? {
        match name.split('|').next().unwrap_or_default() {
            "values" => state = Some(data),
            "error" => return Err(call.agent_error(&named_error(&data))),
            "end" => break,
            _ => {}
        }
    }
    state.ok_or_else(|| events.broke_off())
}

/// `{"error": "ValueError", "message": "…"}`.
fn named_error(error: &Value) -> String {
    let said = error_words(error);
    match error.get("error").and_then(Value::as_str) {
        Some(name) if error.get("message").is_some() => format!("{name}: {said}"),
        _ => said,
    }
}

/// What the graph asks before it goes on.
fn asked(interrupts: &[Value]) -> String {
    let value = |interrupt: &Value| words(interrupt.get("value").unwrap_or(interrupt));
    interrupts.iter().map(value).collect::<Vec<_>>().join("\n")
}

/// A message of the graph's state, plain or as LangChain serializes its own classes.
#[derive(Deserialize)]
struct Said {
    #[serde(alias = "role", rename = "type")]
    kind: String,
    content: Option<Value>,
    tool_calls: Option<Vec<Called>>,
    usage_metadata: Option<Usage>,
}

#[derive(Deserialize)]
struct Called {
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Value,
}

impl Said {
    fn read(mut message: Value) -> Result<Self, serde_json::Error> {
        if message.get("lc").is_some() && message.get("kwargs").is_some_and(Value::is_object) {
            let class = message["id"].as_array().and_then(|id| id.last()?.as_str()).unwrap_or_default();
            let kind = class.trim_end_matches("Chunk").trim_end_matches("Message").to_ascii_lowercase();
            message = message["kwargs"].take();
            message["type"] = json!(kind);
        } else if message.get("type").is_some()
            && let Some(message) = message.as_object_mut()
        {
            message.remove("role");
        }
        Self::deserialize(message)
    }

    fn is_by_agent(&self) -> bool {
        matches!(self.kind.as_str(), "ai" | "assistant" | "AIMessageChunk")
    }

    fn is_by_customer(&self) -> bool {
        matches!(self.kind.as_str(), "human" | "user")
    }
}

/// What the graph said since the customer's last line: its last words, all tool calls and tokens.
fn reply_of(call: &Call<'_>, state: &Value) -> Result<TargetReply, RunFailure> {
    let messages = state.get("messages").and_then(Value::as_array);
    let Some(messages) = messages else { return Err(call.nothing_at("outputPath '$.messages'")) };
    let read: Result<Vec<Said>, _> = messages.iter().cloned().map(Said::read).collect();
    let read = read.map_err(|error| call.invalid(&format!("a message of the graph's state: {error}")))?;
    let since = read.iter().rposition(Said::is_by_customer).map_or(0, |last| last + 1);
    let mut reply = TargetReply::default();
    for said in read.into_iter().skip(since).filter(Said::is_by_agent) {
        let text = text_of(&said.content.unwrap_or_default());
        if !text.trim().is_empty() {
            reply.content = text;
        }
        reply.tool_calls.extend(said.tool_calls.into_iter().flatten().map(into_tool_call));
        reply.usage.add(said.usage_metadata.map(TokenUsage::from).unwrap_or_default());
    }
    Ok(reply)
}

fn into_tool_call(called: Called) -> ToolCall {
    tool_call(called.id, called.name, called.args)
}

/// A text, or typed parts of which some are text.
fn text_of(content: &Value) -> String {
    let Some(parts) = content.as_array() else { return words(content) };
    parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str())).collect()
}
