//! A turn in which the model is asked again, with what its tools answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tools::{ToolFault, Tools};
use crate::adapters::template::Variables;
use crate::events::{Attribution, ToolCall};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::TargetTurn;
use crate::execution::types::{ChatMessage, ChatReply};
use crate::text::chain;

/// What stands between words that were said in several rounds.
const PARAGRAPH: &str = "\n\n";

/// What the model said and called in the turn so far. It is stored with the run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rounds(Vec<Round>);

#[derive(Debug, Serialize, Deserialize)]
struct Round {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    content: String,
    calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verbatim: Option<Value>,
}

impl From<ChatReply> for Round {
    fn from(reply: ChatReply) -> Self {
        Self { content: reply.content, calls: reply.tool_calls, verbatim: reply.verbatim }
    }
}

impl Rounds {
    /// Those of `turn`.
    pub(super) fn of(turn: &TargetTurn<'_>) -> Result<Self, RunFailure> {
        let Some(so_far) = turn.so_far else { return Ok(Self::default()) };
        Self::deserialize(so_far).map_err(|error| {
            let message = format!("What the model did so far in turn {} cannot be read: {error}", turn.turn);
            RunFailure::new(code::STATE_UNREADABLE, Attribution::Worker, message)
        })
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The model's messages, each with what the tools answered.
    pub(super) fn messages(
        &self,
        tools: &Tools,
        variables: &mut Variables,
    ) -> Result<Vec<ChatMessage>, ToolFault> {
        let mut messages = Vec::new();
        for Round { content, calls, verbatim } in &self.0 {
            let said = ChatMessage::calling(content, calls.clone());
            messages.push(ChatMessage { verbatim: verbatim.clone(), ..said });
            messages.extend(tools.answers(calls, variables)?);
        }
        Ok(messages)
    }

    /// One more, as it is stored.
    pub(super) fn and_then(mut self, reply: ChatReply) -> Result<Value, RunFailure> {
        self.0.push(reply.into());
        serde_json::to_value(self).map_err(|error| {
            let message = format!("What the model did in its turn cannot be written down: {}", chain(&error));
            RunFailure::new(code::STATE_UNREADABLE, Attribution::Worker, message)
        })
    }

    /// Everything that was said in the turn, and every tool that was called, once `reply` ends it.
    pub(super) fn ended_with(mut self, reply: ChatReply) -> (String, Vec<ToolCall>) {
        self.0.push(reply.into());
        let said = self.0.iter().map(|round| round.content.trim_end()).filter(|text| !text.trim().is_empty());
        let words = match self.0.as_slice() {
            [only] => only.content.clone(),
            _ => said.collect::<Vec<_>>().join(PARAGRAPH),
        };
        (words, self.0.into_iter().flat_map(|round| round.calls).collect())
    }
}
