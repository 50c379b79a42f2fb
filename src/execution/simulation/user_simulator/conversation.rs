//! The conversation seen from the customer's side: the model is the customer, and the agent is its user.

use std::fmt::Write as _;

use crate::events::{MessageRole, ToolCall};
use crate::execution::types::{ChatMessage, ChatRole, Message};

/// What the model is told first where the agent has not said the first word: providers want a user's message first,
/// and this one says nothing of what the agent can do.
const OPENER: &str = "Hello.";
/// What the model is told last where the agent has not answered.
const NO_ANSWER: &str = "(The agent has not answered yet. Write the customer's next message.)";
/// Stands for the words of an agent who had none.
const NO_WORDS: &str = "(The agent says nothing.)";

/// `said` with the roles swapped: they take turns, and the agent is first and last.
pub(super) fn reversed(said: &[Message]) -> Vec<ChatMessage> {
    let mut messages: Vec<ChatMessage> = Vec::new();
    if said.first().is_none_or(|message| message.role != MessageRole::Assistant) {
        messages.push(ChatMessage::new(ChatRole::User, OPENER));
    }
    for message in said {
        let (role, words) = swapped(message);
        match messages.last_mut() {
            Some(last) if last.role == role => {
                last.content.push_str("\n\n");
                last.content.push_str(&words);
            }
            _ => messages.push(ChatMessage::new(role, words)),
        }
    }
    if messages.last().is_some_and(|message| message.role == ChatRole::Assistant) {
        messages.push(ChatMessage::new(ChatRole::User, NO_ANSWER));
    }
    messages
}

fn swapped(message: &Message) -> (ChatRole, String) {
    let content = &message.content;
    match message.role {
        MessageRole::User => (ChatRole::Assistant, content.clone()),
        MessageRole::Assistant => (ChatRole::User, with_notes(content, &message.tool_calls)),
        MessageRole::Tool => (ChatRole::User, format!("(A tool of the agent answers: {content})")),
    }
}

fn with_notes(content: &str, calls: &[ToolCall]) -> String {
    let mut text = String::new();
    for call in calls {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "(The agent calls its tool {} with {}.)", call.name, call.arguments);
    }
    text.push_str(content);
    if text.trim().is_empty() { NO_WORDS.to_owned() } else { text.trim_end().to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    pub(in super::super) fn said(role: MessageRole, content: &str) -> Message {
        let at = datetime!(2026-01-01 0:00 UTC);
        Message { turn: 1, role, content: content.into(), tool_calls: Vec::new(), at, latency_ms: None }
    }

    fn told(said: &[Message]) -> Vec<(ChatRole, String)> {
        reversed(said).into_iter().map(|message| (message.role, message.content)).collect()
    }

    #[test]
    fn a_conversation_that_has_not_begun_is_a_neutral_opener() {
        assert_eq!(told(&[]), [(ChatRole::User, OPENER.to_owned())]);
    }

    #[test]
    fn an_agent_who_speaks_first_is_the_opener() {
        let messages =
            [said(MessageRole::Assistant, "Hi, this is Ava."), said(MessageRole::User, "hello ava")];
        let expected = [
            (ChatRole::User, "Hi, this is Ava.".to_owned()),
            (ChatRole::Assistant, "hello ava".to_owned()),
            (ChatRole::User, NO_ANSWER.to_owned()),
        ];
        assert_eq!(told(&messages), expected);
    }

    #[test]
    fn tool_calls_are_plain_notes_and_roles_take_turns() {
        let call = ToolCall { id: "1".into(), name: "find".into(), arguments: json!({ "order": 4711 }) };
        let calls = Message { tool_calls: vec![call], ..said(MessageRole::Assistant, "") };
        let messages = [
            said(MessageRole::User, "where is it"),
            calls,
            said(MessageRole::Tool, "in the depot"),
            said(MessageRole::Assistant, "In the depot."),
        ];
        let agent = "(The agent calls its tool find with {\"order\":4711}.)\n\n(A tool of the agent answers: in the depot)\n\nIn the depot.";
        assert_eq!(
            told(&messages)[1..],
            [(ChatRole::Assistant, "where is it".to_owned()), (ChatRole::User, agent.to_owned())]
        );
    }

    #[test]
    fn an_agent_without_words_still_has_a_message() {
        let messages = [said(MessageRole::User, "hello?"), said(MessageRole::Assistant, " ")];
        assert_eq!(told(&messages)[2], (ChatRole::User, NO_WORDS.to_owned()));
    }
}
