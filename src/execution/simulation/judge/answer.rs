//! Finding the judge's answer in a model's reply, wherever the model put it.

use serde_json::Value;

use crate::events::ToolCall;
use crate::execution::types::ChatReply;

/// The most places of a text at which an answer is looked for: each may be read up to its end.
const MAX_OBJECTS: usize = 64;
/// What models call the name and the arguments of a tool call that they write as text.
const NAME_FIELDS: [&str; 3] = ["name", "tool", "tool_name"];
const ARGUMENTS_FIELDS: [&str; 4] = ["arguments", "parameters", "args", "input"];
/// Where such a call is wrapped into another object.
const WRAPPER_FIELDS: [&str; 2] = ["function", "tool_call"];
/// Ends what a reasoning model thinks aloud. Drafts of the answer may stand before it.
const END_OF_THOUGHT: &str = "</think>";

/// Everything in `reply` that may be the arguments of `tool`, the likeliest first: calls of the tool, then what the
/// model wrote.
pub(super) fn candidates<'a>(reply: &'a ChatReply, tool: &'a str) -> impl Iterator<Item = Value> + 'a {
    let is_asked = move |call: &&ToolCall| call.name == tool;
    let calls = reply.tool_calls.iter().filter(is_asked).map(|call| unwrap_json_text(call.arguments.clone()));
    let written = objects(behind_thought(&reply.content)).filter_map(move |object| arguments(object, tool));
    calls.chain(written).filter(Value::is_object)
}

/// Some servers send an object as the JSON text of it.
pub(super) fn unwrap_json_text(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(inner)) => inner,
        _ => value,
    }
}

fn behind_thought(text: &str) -> &str {
    text.rsplit_once(END_OF_THOUGHT).map_or(text, |(_, answer)| answer)
}

/// The JSON objects that stand in `text`, whatever stands around them.
fn objects(text: &str) -> impl Iterator<Item = Value> {
    let (mut rest, mut tries) = (text, 0);
    std::iter::from_fn(move || {
        while tries < MAX_OBJECTS {
            tries += 1;
            rest = &rest[rest.find('{')?..];
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            if let Some(Ok(object)) = values.next() {
                rest = &rest[values.byte_offset()..];
                return Some(object);
            }
            rest = &rest['{'.len_utf8()..];
        }
        None
    })
}

/// The arguments in a call of `tool` that is written as an object; any other object is taken for the arguments. `None`
/// is a call of another tool.
fn arguments(mut object: Value, tool: &str) -> Option<Value> {
    if let Some(inner) =
        WRAPPER_FIELDS.iter().find_map(|field| object.get(field)).filter(|inner| inner.is_object())
    {
        object = inner.clone();
    }
    let name = NAME_FIELDS.iter().find_map(|field| object.get(field)?.as_str());
    let given = ARGUMENTS_FIELDS.iter().find_map(|field| object.get(field));
    match (name, given) {
        (Some(name), Some(given)) => (name == tool).then(|| unwrap_json_text(given.clone())),
        _ => Some(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall { id: "1".into(), name: name.into(), arguments }
    }

    fn read(reply: &ChatReply) -> Option<Value> {
        candidates(reply, "give").next()
    }

    #[test]
    fn the_first_call_of_the_right_tool_is_the_answer() {
        let tool_calls = vec![
            call("other", json!({ "a": 0 })),
            call("give", json!({ "a": 1 })),
            call("give", json!({ "a": 2 })),
        ];
        let reply = ChatReply { content: r#"{"a": 3}"#.into(), tool_calls, ..ChatReply::default() };
        assert_eq!(read(&reply), Some(json!({ "a": 1 })));
        let all: Vec<Value> = candidates(&reply, "give").map(|answer| answer["a"].clone()).collect();
        assert_eq!(all, [1, 2, 3]);
    }

    #[test]
    fn arguments_may_be_text_of_json() {
        let reply =
            ChatReply { tool_calls: vec![call("give", json!(r#"{"a": 1}"#))], ..ChatReply::default() };
        assert_eq!(read(&reply), Some(json!({ "a": 1 })));
    }

    #[test]
    fn an_answer_is_found_in_what_the_model_wrote() {
        for text in [
            r#"{"a": 1}"#,
            "```json\n{\"a\": 1}\n```",
            "Here you are: {\"a\": 1} I hope that {helps}.",
            "By {the rules}: {\"a\": 1}",
            r#"<think>{"a": 7} or not?</think> {"a": 1}"#,
            r#"{"name": "give", "arguments": {"a": 1}}"#,
            r#"<tool_call>{"name": "give", "arguments": "{\"a\": 1}"}</tool_call>"#,
            r#"{"type": "function", "function": {"name": "give", "parameters": {"a": 1}}}"#,
            r#"give({"a": 1})"#,
            r#"{"name": "other", "arguments": {"a": 2}} {"name": "give", "arguments": {"a": 1}}"#,
        ] {
            let reply = ChatReply { content: text.into(), ..ChatReply::default() };
            assert_eq!(read(&reply), Some(json!({ "a": 1 })), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        let braces = "{".repeat(100_000);
        for text in ["", "I cannot help with that.", "[1]", "{\"a\": ", "{'a': 1}", braces.as_str()] {
            let reply = ChatReply { content: text.into(), ..ChatReply::default() };
            assert_eq!(read(&reply), None, "{}", &text[..text.len().min(40)]);
        }
    }
}
