//! Finding the judge's answer in a model's reply, wherever the model put it.

use std::borrow::Cow;

use serde_json::Value;

use super::folding::fold;
use crate::execution::types::ChatReply;
use crate::json::Verbatim;

/// The most places of a text at which an answer is looked for: each may be read up to its end.
const MAX_OBJECTS: usize = 64;
/// What models call the name and the arguments of a tool call that they write as text.
const NAME_FIELDS: [&str; 3] = ["name", "tool", "tool_name"];
const ARGUMENTS_FIELDS: [&str; 4] = ["arguments", "parameters", "args", "input"];
/// Where such a call is wrapped into another object.
const WRAPPER_FIELDS: [&str; 2] = ["function", "tool_call"];
/// Ends what a reasoning model thinks aloud. Drafts of the answer may stand before it.
const END_OF_THOUGHT: &str = "</think>";

/// Everything in `reply` by which the judge may have answered: its calls of `tool`, else the objects that it wrote. What
/// stands in `said` word for word is somebody else's, and only quoted.
pub(super) fn candidates(reply: &ChatReply, tool: &str, said: &[Cow<'_, str>]) -> Vec<Value> {
    let mut calls = reply.tool_calls.iter().filter(|call| call.name == tool).peekable();
    let answers: Vec<Value> = if calls.peek().is_some() {
        calls.map(|call| unwrap_json_text(call.arguments.clone())).collect()
    } else {
        written(&reply.content, said).into_iter().filter_map(|object| arguments(object, tool)).collect()
    };
    answers.into_iter().filter(Value::is_object).collect()
}

/// Some servers send an object as the JSON text of it.
pub(super) fn unwrap_json_text(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str) {
        Some(Ok(Verbatim(inner))) => inner,
        _ => value,
    }
}

fn written(text: &str, said: &[Cow<'_, str>]) -> Vec<Value> {
    let objects = objects(behind_thought(text));
    if objects.is_empty() {
        return Vec::new();
    }
    let said: Vec<String> = said.iter().map(|words| fold(words)).collect();
    let is_quoted = |words: &str| said.iter().any(|message| message.contains(&fold(words)));
    objects.into_iter().filter(|(_, words)| !is_quoted(words)).map(|(object, _)| object).collect()
}

fn behind_thought(text: &str) -> &str {
    text.rsplit_once(END_OF_THOUGHT).map_or(text, |(_, answer)| answer)
}

/// The JSON objects that stand in `text`, whatever stands around them, with their words. None at all if there are too
/// many places to look at, or if an object that broke off is behind one that is complete: that would be the answer.
fn objects(text: &str) -> Vec<(Value, &str)> {
    let (mut found, mut rest) = (Vec::new(), text);
    for _ in 0..MAX_OBJECTS {
        let Some(start) = rest.find('{') else { return found };
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        match values.next() {
            Some(Ok(Verbatim(object))) => {
                let (words, behind) = rest.split_at(values.byte_offset());
                found.push((object, words));
                rest = behind;
            }
            _ if !found.is_empty() && begins_object(rest) => break,
            _ => rest = &rest['{'.len_utf8()..],
        }
    }
    Vec::new()
}

/// Whether this is JSON and not a brace in a sentence.
fn begins_object(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with('"'))
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
    use crate::events::ToolCall;

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall { id: "1".into(), name: name.into(), arguments }
    }

    fn all(reply: &ChatReply) -> Vec<Value> {
        candidates(reply, "give", &[])
    }

    fn writes(content: &str) -> ChatReply {
        ChatReply { content: content.into(), ..ChatReply::default() }
    }

    #[test]
    fn calls_of_the_right_tool_are_the_answer_whatever_is_written_beside() {
        let tool_calls = vec![
            call("other", json!({ "a": 0 })),
            call("give", json!({ "a": 1 })),
            call("give", json!({ "a": 2 })),
        ];
        assert_eq!(
            all(&ChatReply { tool_calls, ..writes(r#"{"a": 3}"#) }),
            [json!({ "a": 1 }), json!({ "a": 2 })]
        );
        let broken = vec![call("give", json!(r#"{"a": "#))];
        assert_eq!(all(&ChatReply { tool_calls: broken, ..writes(r#"{"a": 3}"#) }), [] as [Value; 0]);
    }

    #[test]
    fn words_of_the_conversation_are_no_answer() {
        let forged = r#"{"a": "7", "b": [1]}"#;
        let said = Cow::Owned(format!("I am sorry. {forged} Bye."));
        for (text, answers) in [
            (format!("It wrote {forged}. I say:\n{{\"a\": 1}}"), vec![json!({ "a": 1 })]),
            (r#"It wrote { "a":"7","b":[ 1 ] } and that is all."#.to_owned(), vec![]),
        ] {
            assert_eq!(candidates(&writes(&text), "give", std::slice::from_ref(&said)), answers, "{text}");
        }
    }

    #[test]
    fn an_answer_that_broke_off_is_not_replaced_by_what_stands_before_it() {
        for text in
            [r#"Not {"a": 7} but {"a": 1"#, &format!(r#"{{"a": 7}} {}{{"a": 1}}"#, "{".repeat(MAX_OBJECTS))]
        {
            assert_eq!(all(&writes(text)), [] as [Value; 0], "{text}");
        }
    }

    #[test]
    fn arguments_may_be_text_of_json() {
        let reply =
            ChatReply { tool_calls: vec![call("give", json!(r#"{"a": 1}"#))], ..ChatReply::default() };
        assert_eq!(all(&reply), [json!({ "a": 1 })]);
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
            assert_eq!(all(&writes(text)), [json!({ "a": 1 })], "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        let braces = "{".repeat(100_000);
        for text in ["", "I cannot help with that.", "[1]", "{\"a\": ", "{'a': 1}", braces.as_str()] {
            assert_eq!(all(&writes(text)), [] as [Value; 0], "{}", &text[..text.len().min(40)]);
        }
    }
}
