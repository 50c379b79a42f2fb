//! Targets of type `openai_responses`: agents behind the responses interface of `OpenAI` and servers that have it too.
//!
//! The first turn sends the whole conversation, each later one what is new with the id of the response before.
//!
//! Specification: <https://platform.openai.com/docs/api-reference/responses>.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::adapter::Preset;
use super::openai_wire::{Body, OpenAiDefinition, Usage, error_words, message, tool_call};
use super::remembered::{remember, remembered};
use super::unseen::{heard_after, said};
use crate::adapters::http::line::{Call, Events, below};
use crate::events::ToolCall;
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

/// The path below the base URL.
const PATH: [&str; 1] = ["responses"];
/// Fields of the body that are not the definition's.
const OWN: [&str; 4] = ["model", "input", "stream", "previous_response_id"];

/// What is sent of the conversation.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum History {
    /// What is new; the server has the rest.
    #[default]
    Server,
    /// All of it, for servers that keep nothing.
    Full,
}

/// An agent behind the responses interface.
pub(super) struct OpenAiResponses {
    body: Body,
    history: History,
}

/// The response before.
#[derive(Serialize, Deserialize)]
struct Before {
    id: String,
    heard: usize,
}

#[async_trait]
impl Preset for OpenAiResponses {
    const KIND: &'static str = "openai_responses";
    const NAME: &'static str = "OpenAI responses agent";
    const TELLS_TOOL_CALLS: bool = true;
    type Definition = OpenAiDefinition<History>;

    fn from_definition(definition: Self::Definition) -> Result<Self, String> {
        let OpenAiDefinition { model, stream, body, history } = definition;
        Ok(Self { body: Body::new(model, stream, body, &OWN)?, history: history.unwrap_or_default() })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let mut body = self.body.render(&call.variables())?;
        let before: Option<Before> = remembered(call.turn.session)?;
        let before = before.filter(|before| before.heard <= call.turn.transcript.len());
        let first = before.as_ref().map_or(0, |before| before.heard);
        body["input"] = said(call.turn, first).map(|(_, said)| message(said)).collect();
        if let Some(before) = before {
            body["previous_response_id"] = json!(before.id);
        }
        let mut request = call.asking(&body)?;
        below(&mut request.url, &PATH);
        let answer = call.send(request).await?.accepted().await?;
        let (response, streamed) = if answer.is_events() {
            last_of(call, answer.events()).await?
        } else {
            (answer.json().await?, String::new())
        };
        self.conclude(call, response, streamed)
    }
}

impl OpenAiResponses {
    fn conclude(
        &self,
        call: &Call<'_>,
        response: Value,
        streamed: String,
    ) -> Result<TargetReply, RunFailure> {
        let response = Response::deserialize(response).map_err(|error| call.invalid(&error.to_string()))?;
        if let Some(error) = response.error.filter(|error| !error.is_null()) {
            return Err(call.agent_error(&error_words(&error)));
        }
        if let Some(status @ ("failed" | "cancelled")) = response.status.as_deref() {
            return Err(call.agent_error(&format!("the response is {status}")));
        }
        let items = response.output.ok_or_else(|| call.invalid("it has no output"))?;
        let tool_calls: Vec<ToolCall> = items.iter().filter_map(Item::tool_call).collect();
        // A function call that nobody answers ends what the server would go on with.
        let unanswered = items.iter().any(|item| item.kind == FUNCTION_CALL);
        let id = response.id.filter(|_| self.history == History::Server && !unanswered);
        let session = Some(remember(&id.map(|id| Before { id, heard: heard_after(call.turn) })));
        let said =
            items.iter().map(Item::text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let content = if said.is_empty() { streamed } else { said };
        let usage = response.usage.unwrap_or_default().into();
        Ok(TargetReply { content, tool_calls, usage, session, ..TargetReply::default() })
    }
}

const FUNCTION_CALL: &str = "function_call";

#[derive(Deserialize)]
struct Response {
    id: Option<String>,
    status: Option<String>,
    error: Option<Value>,
    output: Option<Vec<Item>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type", default)]
    kind: String,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<Value>,
    content: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl Item {
    fn text(&self) -> String {
        let parts = self.content.iter().flatten().filter(|_| self.kind == "message");
        parts.filter_map(|part| part.text.as_deref().or(part.refusal.as_deref())).collect()
    }

    /// A call of a function of ours, or of a tool that the server called itself.
    fn tool_call(&self) -> Option<ToolCall> {
        let name = self.name.clone().filter(|_| self.kind.ends_with("_call"))?;
        let id = self.call_id.clone().or_else(|| self.id.clone());
        Some(tool_call(id, name, self.arguments.clone().unwrap_or_default()))
    }
}

/// The response that ends the stream, and the words that went before it.
async fn last_of(call: &Call<'_>, mut events: Events) -> Result<(Value, String), RunFailure> {
    let mut said = String::new();
    while let Some(event) = events.next().await? {
        let data = event.data.trim();
        if data.is_empty() || data == "[DONE]" {
            continue;
        }
        let mut data = events.parse(data)?;
        match data.get("type").and_then(Value::as_str).unwrap_or(&event.name) {
            "response.output_text.delta" => said.push_str(data["delta"].as_str().unwrap_or_default()),
            "response.completed" | "response.incomplete" | "response.failed" => {
                return Ok((data["response"].take(), said));
            }
            "error" => return Err(call.agent_error(&error_words(data.get("error").unwrap_or(&data)))),
            _ => {}
        }
    }
    Err(events.broke_off())
}
