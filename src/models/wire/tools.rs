//! Calls of tools and their answers, as far as the APIs have them alike.

use serde_json::{Value, json};

use crate::execution::types::ChatMessage;

/// `messages`, whose calls all have ids: calls and answers come in the same order, so they are numbered where the provider
/// gave no ids.
pub(super) fn identified(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let (mut calls, mut answers) = (0_u64, 0_u64);
    let mut messages = messages.to_vec();
    for message in &mut messages {
        for call in &mut message.tool_calls {
            calls += 1;
            name(&mut call.id, calls);
        }
        if let Some(answered) = &mut message.answers {
            answers += 1;
            name(&mut answered.id, answers);
        }
    }
    messages
}

fn name(id: &mut String, number: u64) {
    if id.is_empty() {
        *id = format!("call_{number}");
    }
}

/// What is said, message by message; answers of tools that follow on each other are one.
pub(super) fn answers_together<'a>(talk: impl Iterator<Item = &'a ChatMessage>) -> Vec<Vec<&'a ChatMessage>> {
    let mut together: Vec<Vec<&ChatMessage>> = Vec::new();
    for message in talk {
        let before = together.last_mut().filter(|before| before.iter().all(|said| said.answers.is_some()));
        match before {
            Some(answers) if message.answers.is_some() => answers.push(message),
            _ => together.push(vec![message]),
        }
    }
    together
}

/// Arguments as a text of JSON. Those that were no JSON go back as they were written.
pub(super) fn arguments_text(arguments: &Value) -> String {
    arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned)
}

/// Arguments as a JSON object, which is all that some APIs take.
pub(super) fn arguments_object(arguments: &Value) -> Value {
    if arguments.is_object() { arguments.clone() } else { json!({}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ToolCall;

    #[test]
    fn calls_without_ids_are_numbered_and_so_are_their_answers() {
        let call = |id: &str| ToolCall { id: id.to_owned(), name: "look".to_owned(), arguments: json!({}) };
        let calls = [call(""), call("b"), call("")];
        let mut messages = vec![ChatMessage::calling("", calls.to_vec())];
        messages.extend(calls.iter().map(|call| ChatMessage::answering(call, "x")));
        let named = identified(&messages);
        let ids: Vec<_> = named[0].tool_calls.iter().map(|call| call.id.as_str()).collect();
        let answered: Vec<_> = named[1..].iter().map(|m| m.answers.as_ref().unwrap().id.as_str()).collect();
        assert_eq!((ids.as_slice(), answered), (&["call_1", "b", "call_3"][..], ids.clone()));
    }
}
