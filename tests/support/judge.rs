//! What doubles of judges answer.

use std::sync::Arc;

use scenario_worker::events::{MessageRole, ToolCall};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::types::{ChatReply, ChatRequest, Message, ModelName};
use serde_json::{Value, json};

/// What a judge's model does when it is asked.
#[expect(clippy::large_enum_variant, reason = "a test has a handful of them")]
pub(crate) enum Does {
    /// It replies.
    Replies(ChatReply),
    /// It fails.
    Fails(RunFailure),
    /// It never answers.
    Hangs,
}

/// Plays the models that judge.
pub(crate) type JudgePlay = Arc<dyn Fn(&ModelName, &ChatRequest) -> Does + Send + Sync>;

/// A model that calls `tool`.
pub(crate) fn calls(tool: &str, arguments: Value) -> Does {
    let tool_calls = vec![ToolCall { id: "1".into(), name: tool.into(), arguments }];
    Does::Replies(ChatReply { tool_calls, ..ChatReply::default() })
}

/// A model that writes.
pub(crate) fn writes(content: impl Into<String>) -> Does {
    Does::Replies(ChatReply { content: content.into(), ..ChatReply::default() })
}

/// The entries of a verdict, in which whoever is met and has no evidence quotes the agent's first line.
pub(crate) fn quoting(mut entries: Value, transcript: &[Message]) -> Value {
    let first = (0_u32..).zip(transcript).find(|(_, message)| message.role == MessageRole::Assistant);
    let Some((index, line)) = first else { return entries };
    for entry in entries.as_object_mut().into_iter().flat_map(|entries| entries.values_mut()) {
        if entry["status"] == "met" && entry.get("evidence").is_none() {
            entry["evidence"] = json!([{ "message": index, "quote": line.content }]);
        }
    }
    entries
}

/// The agent's first line in a transcript as a judge reads it, as evidence.
pub(crate) fn evidence_in(transcript: &str) -> Value {
    let said = transcript.lines().find_map(|line| line.strip_prefix('[')?.split_once("] agent: "));
    let quoted = said.map(|(index, words)| {
        let words: Value = serde_json::from_str(words).unwrap();
        json!({ "message": index.parse::<u32>().unwrap(), "quote": words })
    });
    quoted.into_iter().collect()
}
