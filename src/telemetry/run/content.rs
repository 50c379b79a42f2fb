//! What was said, as attribute values: JSON in the documented shapes, cut where it is too long.

use serde_json::{Value, json};

use crate::events::ToolCall;
use crate::execution::types::{ChatMessage, ChatReply, ChatRole, Message, ToolSpec};

/// The most bytes of one text (a message, a reason, tool arguments) on a span. A longer one ends in
/// `… [truncated]`.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The most bytes of texts in one list of messages. The oldest are left out first, and a message says how many:
/// every call repeats the conversation, so an uncut trace grows with its square.
pub const MAX_MESSAGES_BYTES: usize = 64 * 1024;

/// `text`, cut at a character boundary if it is too long.
pub(super) fn cut(text: &str) -> String {
    crate::text::cut(text, MAX_TEXT_BYTES)
}

/// The envelope that LangWatch reads inputs and outputs in.
pub(super) fn envelope(kind: &str, value: &Value) -> String {
    json!({ "type": kind, "value": value }).to_string()
}

/// The newest of `items` that fit, and how many older ones do not. The last one is always there.
fn newest<T>(items: &[T], size: impl Fn(&T) -> usize) -> (usize, &[T]) {
    let mut room = MAX_MESSAGES_BYTES;
    let mut first = items.len();
    while first > 0 {
        let cost = size(&items[first - 1]).min(MAX_TEXT_BYTES);
        if cost > room {
            break;
        }
        (room, first) = (room - cost, first - 1);
    }
    (first, &items[first..])
}

fn left_out(count: usize) -> String {
    format!("… [{count} earlier messages left out]")
}

/// Tool arguments; those that are too long become a cut text.
pub(super) fn arguments(call: &ToolCall) -> Value {
    let text = call.arguments.to_string();
    if text.len() <= MAX_TEXT_BYTES { call.arguments.clone() } else { Value::String(cut(&text)) }
}

fn size_of_call(call: &ToolCall) -> usize {
    call.name.len() + call.arguments.to_string().len()
}

/// A transcript as LangWatch's chat messages.
pub(super) fn transcript(messages: &[Message]) -> Value {
    let size = |m: &Message| m.content.len() + m.tool_calls.iter().map(size_of_call).sum::<usize>();
    let (omitted, kept) = newest(messages, size);
    let note = (omitted > 0).then(|| json!({ "role": "system", "content": left_out(omitted) }));
    note.into_iter().chain(kept.iter().map(|m| said(m.role.as_str(), &m.content, &m.tool_calls))).collect()
}

/// Messages to a model as LangWatch's chat messages.
pub(super) fn chat_messages(messages: &[ChatMessage]) -> Value {
    let (omitted, kept) = newest(messages, size_of_message);
    let note = (omitted > 0).then(|| json!({ "role": "system", "content": left_out(omitted) }));
    let kept = kept.iter().map(|m| {
        let mut message = said(role(m.role), &m.content, &m.tool_calls);
        if let Some(call) = &m.answers {
            message["tool_call_id"] = call.id.as_str().into();
        }
        message
    });
    note.into_iter().chain(kept).collect()
}

fn size_of_message(message: &ChatMessage) -> usize {
    message.content.len() + message.tool_calls.iter().map(size_of_call).sum::<usize>()
}

/// One message in LangWatch's shape.
pub(super) fn said(role: &str, content: &str, tool_calls: &[ToolCall]) -> Value {
    let mut message = json!({ "role": role, "content": cut(content) });
    if !tool_calls.is_empty() {
        let call = |c: &ToolCall| {
            let function = json!({ "name": c.name, "arguments": arguments(c).to_string() });
            json!({ "id": c.id, "type": "function", "function": function })
        };
        message["tool_calls"] = tool_calls.iter().map(call).collect();
    }
    message
}

/// `gen_ai.system_instructions`: the system messages as text parts; `None` if there are none.
pub(super) fn instructions(messages: &[ChatMessage]) -> Option<String> {
    let system = messages.iter().filter(|m| m.role == ChatRole::System);
    let parts: Vec<Value> = system.map(|m| text_part(&m.content)).collect();
    (!parts.is_empty()).then(|| Value::from(parts).to_string())
}

/// `gen_ai.input.messages`: everything but the system messages.
pub(super) fn input_messages(messages: &[ChatMessage]) -> String {
    let spoken: Vec<&ChatMessage> = messages.iter().filter(|m| m.role != ChatRole::System).collect();
    let (omitted, kept) = newest(&spoken, |m| size_of_message(m));
    let note = (omitted > 0).then(|| json!({ "role": "user", "parts": [text_part(&left_out(omitted))] }));
    let kept = kept.iter().map(|m| json!({ "role": role(m.role), "parts": parts(m) }));
    note.into_iter().chain(kept).collect::<Value>().to_string()
}

fn parts(message: &ChatMessage) -> Value {
    if let Some(call) = &message.answers {
        let result = cut(&message.content);
        return json!([{ "type": "tool_call_response", "id": call.id, "response": result }]);
    }
    let calls = message.tool_calls.iter().map(call_part);
    let text =
        (!message.content.is_empty() || message.tool_calls.is_empty()).then(|| text_part(&message.content));
    text.into_iter().chain(calls).collect()
}

fn call_part(call: &ToolCall) -> Value {
    json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments(call) })
}

/// `gen_ai.output.messages`: the answer as one message.
pub(super) fn output_messages(reply: &ChatReply) -> String {
    let text = (!reply.content.is_empty()).then(|| text_part(&reply.content));
    let calls = reply.tool_calls.iter().map(call_part);
    let parts: Value = text.into_iter().chain(calls).collect();
    json!([{ "role": "assistant", "parts": parts, "finish_reason": finish_reason(reply) }]).to_string()
}

/// Why the answer ends, in the convention's words; a reason that it has no word for stays the provider's.
fn finish_reason(reply: &ChatReply) -> &str {
    let ended = if reply.tool_calls.is_empty() { "stop" } else { "tool_call" };
    let Some(reason) = reply.finish_reason.as_deref() else { return ended };
    match reason.to_ascii_lowercase().as_str() {
        "stop" | "end_turn" | "stop_sequence" => ended,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => "tool_call",
        "length" | "max_tokens" | "model_context_window_exceeded" => "length",
        "content_filter" | "refusal" | "safety" | "recitation" | "blocklist" | "prohibited_content"
        | "spii" => "content_filter",
        "error" | "malformed_function_call" => "error",
        _ => reason,
    }
}

/// `gen_ai.tool.definitions`; `None` if there are none.
pub(super) fn tool_definitions<'a>(tools: impl Iterator<Item = &'a ToolSpec>) -> Option<String> {
    let definitions: Vec<Value> = tools.map(tool_definition).collect();
    (!definitions.is_empty()).then(|| Value::from(definitions).to_string())
}

fn tool_definition(tool: &ToolSpec) -> Value {
    let parameters = tool.parameters.to_string();
    let parameters =
        if parameters.len() <= MAX_TEXT_BYTES { tool.parameters.clone() } else { cut(&parameters).into() };
    let description = cut(&tool.description);
    json!({ "type": "function", "name": tool.name, "description": description, "parameters": parameters })
}

fn text_part(text: &str) -> Value {
    json!({ "type": "text", "content": cut(text) })
}

fn role(role: ChatRole) -> &'static str {
    match role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
        ChatRole::Tool => "tool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TRUNCATED;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let text = format!("a{}", "é".repeat(MAX_TEXT_BYTES));
        let shown = cut(&text);
        assert!(shown.ends_with("é… [truncated]") && shown.len() <= MAX_TEXT_BYTES + TRUNCATED.len());
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_long_conversation_keeps_its_newest_messages_and_stays_json() {
        let messages: Vec<_> =
            (0..10).map(|n| ChatMessage::new(ChatRole::User, format!("{n}{}", "x".repeat(20_000)))).collect();
        for text in [input_messages(&messages), envelope("chat_messages", &chat_messages(&messages))] {
            let shown: Value = serde_json::from_str(&text).unwrap();
            let shown = shown.get("value").unwrap_or(&shown).as_array().unwrap();
            assert_eq!(shown.len(), 5);
            assert!(shown[0].to_string().contains("[6 earlier messages left out]"), "{}", shown[0]);
            assert!(shown[4].to_string().contains("9xxx"));
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line a reason, as a table")]
    fn an_answer_ends_for_a_reason_in_the_words_of_the_convention() {
        let call = ToolCall { id: "1".into(), name: "look".into(), arguments: json!({}) };
        for (reason, calls, word) in [
            (Some("stop"), false, "stop"),
            (Some("tool_calls"), true, "tool_call"),
            (Some("length"), false, "length"),
            (Some("content_filter"), false, "content_filter"),
            (Some("end_turn"), false, "stop"),
            (Some("tool_use"), true, "tool_call"),
            (Some("max_tokens"), false, "length"),
            (Some("refusal"), false, "content_filter"),
            (Some("STOP"), false, "stop"),
            (Some("STOP"), true, "tool_call"),
            (Some("MAX_TOKENS"), false, "length"),
            (Some("SAFETY"), false, "content_filter"),
            (Some("pause_turn"), false, "pause_turn"),
            (None, false, "stop"),
            (None, true, "tool_call"),
        ] {
            let tool_calls = if calls { vec![call.clone()] } else { Vec::new() };
            let reply =
                ChatReply { tool_calls, finish_reason: reason.map(str::to_owned), ..ChatReply::default() };
            let messages: Value = serde_json::from_str(&output_messages(&reply)).unwrap();
            assert_eq!(messages[0]["finish_reason"], word, "{reason:?}");
        }
    }

    #[test]
    fn an_answer_has_its_text_its_calls_and_its_reason() {
        let reply = ChatReply {
            content: "hi".into(),
            tool_calls: vec![ToolCall { id: "1".into(), name: "look".into(), arguments: json!({ "q": 1 }) }],
            finish_reason: Some("stop".into()),
            ..ChatReply::default()
        };
        assert_eq!(
            output_messages(&reply),
            json!([{ "role": "assistant", "parts": [
                { "type": "text", "content": "hi" },
                { "type": "tool_call", "id": "1", "name": "look", "arguments": { "q": 1 } }
            ], "finish_reason": "tool_call" }])
            .to_string()
        );
    }
}
