//! Chunks of chat completions.
//!
//! Specification: <https://platform.openai.com/docs/api-reference/chat-streaming>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Hearing, StreamFault, json_of, keep};
use crate::stream::SseEvent;

/// Ends the stream.
const DONE: &str = "[DONE]";

/// A completion so far. Only its first choice counts; no other is asked for.
#[derive(Debug, Default)]
pub(in crate::models::wire) struct Chunks {
    id: Value,
    model: Value,
    usage: Value,
    finish_reason: Value,
    content: String,
    refusal: String,
    calls: BTreeMap<u64, Call>,
    /// There was a choice.
    begun: bool,
    done: bool,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Hearing for Chunks {
    fn take(&mut self, event: &SseEvent) -> Result<(), StreamFault> {
        if event.data.trim() == DONE {
            self.done = true;
            return Ok(());
        }
        let chunk = json_of(event)?;
        keep(&mut self.id, &chunk["id"]);
        keep(&mut self.model, &chunk["model"]);
        keep(&mut self.usage, &chunk["usage"]);
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let first = |choice: &&Value| choice["index"].as_u64().unwrap_or_default() == 0;
        choices.iter().filter(first).try_for_each(|choice| self.choice(choice))
    }

    fn has_begun(&self) -> bool {
        !(self.content.is_empty() && self.refusal.is_empty() && self.calls.is_empty())
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Option<Value> {
        let calls = self.calls.into_values().map(|Call { id, name, arguments }| {
            json!({ "id": id, "function": { "name": name, "arguments": arguments } })
        });
        let said = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let message = json!({
            "content": said(self.content), "refusal": said(self.refusal), "tool_calls": calls.collect::<Value>(),
        });
        let choice = json!({ "message": message, "finish_reason": self.finish_reason });
        let choices = if self.begun { vec![choice] } else { Vec::new() };
        let answer = json!({ "id": self.id, "model": self.model, "choices": choices, "usage": self.usage });
        self.done.then_some(answer)
    }
}

impl Chunks {
    fn choice(&mut self, choice: &Value) -> Result<(), StreamFault> {
        self.begun = true;
        keep(&mut self.finish_reason, &choice["finish_reason"]);
        let delta = &choice["delta"];
        self.content.push_str(&words(&delta["content"]));
        self.refusal.push_str(&words(&delta["refusal"]));
        let calls = delta["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        calls.iter().try_for_each(|fragment| self.fragment(fragment))
    }

    /// A piece of a call: of the one with its index, else with its id, else of the last one.
    fn fragment(&mut self, fragment: &Value) -> Result<(), StreamFault> {
        let id = fragment["id"].as_str().unwrap_or_default();
        let index = fragment["index"].as_u64().unwrap_or_else(|| self.place_of(id));
        let call = self.calls.entry(index).or_default();
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        } else if !id.is_empty() && call.id != id {
            let fault = format!("two tool calls of the stream have the index {index}");
            return Err(StreamFault::Impossible(fault));
        }
        let function = &fragment["function"];
        if call.name.is_empty() {
            function["name"].as_str().unwrap_or_default().clone_into(&mut call.name);
        }
        match &function["arguments"] {
            Value::Null => {}
            Value::String(text) => call.arguments.push_str(text),
            whole => call.arguments = whole.to_string(),
        }
        Ok(())
    }

    fn place_of(&self, id: &str) -> u64 {
        let last = self.calls.keys().next_back().copied();
        let known =
            self.calls.iter().find(|(_, call)| !id.is_empty() && call.id == id).map(|(index, _)| *index);
        let next = last.map_or(0, |last| last.saturating_add(1));
        known.unwrap_or(if id.is_empty() { last.unwrap_or_default() } else { next })
    }
}

/// A text, or typed parts of which some are text.
fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}
