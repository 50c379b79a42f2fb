//! What was said before, as a prompt's model is told it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::inputs;
use super::tools::{ToolFault, Tools};
use crate::definitions::Prompt;
use crate::events::MessageRole;
use crate::execution::ports::TargetTurn;
use crate::execution::types::{ChatMessage, ChatRole, Message};

/// The prompt whose model is told it.
pub(super) struct Teller<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) tools: &'a Tools,
}

impl Teller<'_> {
    /// The conversation. Calls of tools come with what the tools answered then.
    pub(super) fn history(&self, turn: &TargetTurn<'_>) -> Result<Vec<ChatMessage>, ToolFault> {
        let mut told = Vec::new();
        for (index, message) in turn.transcript.iter().enumerate() {
            if !message.tool_calls.is_empty() && !self.tools.specs().is_empty() {
                told.extend(self.calls(message, &turn.transcript[..index], turn)?);
            }
            told.extend(said(message));
        }
        Ok(told)
    }

    /// The calls of `message`, which came after `before`.
    fn calls(
        &self,
        message: &Message,
        before: &[Message],
        turn: &TargetTurn<'_>,
    ) -> Result<Vec<ChatMessage>, ToolFault> {
        let before: Arc<[Message]> = before.into();
        let TargetTurn { run, span, session, admission, .. } = *turn;
        let then = TargetTurn {
            run,
            turn: message.turn,
            transcript: &before,
            span,
            session,
            admission,
            so_far: None,
        };
        let mut bound = inputs::bind(self.prompt, self.parameters, &then);
        let mut told = vec![ChatMessage::calling("", message.tool_calls.clone())];
        told.extend(self.tools.answers(&message.tool_calls, &mut bound.variables)?);
        Ok(told)
    }
}

/// A tool's result that a script says is nobody's answer: no model asked for it. What had only calls has no words.
fn said(message: &Message) -> Option<ChatMessage> {
    let role = match message.role {
        MessageRole::User => ChatRole::User,
        MessageRole::Assistant if message.content.is_empty() => return None,
        MessageRole::Assistant => ChatRole::Assistant,
        MessageRole::Tool => return None,
    };
    Some(ChatMessage::new(role, message.content.clone()))
}
