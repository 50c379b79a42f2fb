//! The simulated customer.

use std::sync::Arc;

use serde_json::Value;

use super::transcript;
use crate::definitions::Scenario;
use crate::events::{Attribution, TokenUsage};
use crate::execution::chat::{chat_in_span, usage_of};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::{ChatModel, RunSpan};
use crate::execution::types::{AnswerForm, ChatMessage, ChatRequest, ChatRole, Message, Scene, SceneRole};

/// How often the customer is asked for one line before the run is given up: models do answer with nothing at times.
const ATTEMPTS_PER_LINE: u32 = 3;
/// The field that holds the customer's line in the model's answer.
const LINE_FIELD: &str = "message";

/// The customer in one turn.
pub(super) struct Customer<'a> {
    /// The model that plays the customer.
    pub(super) model: &'a dyn ChatModel,
    /// What the customer is in, and how they are played.
    pub(super) scenario: &'a Scenario,
    /// The turn, from 1.
    pub(super) turn: u32,
    /// What was said.
    pub(super) messages: &'a Arc<[Message]>,
    /// The span of the customer's part in this turn.
    pub(super) span: &'a dyn RunSpan,
}

impl Customer<'_> {
    /// The customer's next line. Tokens are added to `usage` whatever comes of it.
    pub(super) async fn speak(&self, usage: &mut TokenUsage) -> Result<String, RunFailure> {
        for _ in 0..ATTEMPTS_PER_LINE {
            let reply = chat_in_span(self.model, self.request(), self.span).await;
            usage.add(usage_of(&reply));
            let line = line_of(&reply?.content);
            if !line.is_empty() {
                return Ok(line);
            }
        }
        let (model, turn) = (self.model.name(), self.turn);
        let message = format!(
            "The simulated customer ({model}) had nothing to say in turn {turn}, {ATTEMPTS_PER_LINE} times"
        );
        Err(RunFailure::new(code::USER_SIMULATOR_EMPTY, Attribution::UserSimulator, message)
            .with_hint("Choose another model for the customer, or make the situation more concrete."))
    }

    fn request(&self) -> ChatRequest {
        let transcript = Arc::clone(self.messages);
        let scene =
            Scene { role: SceneRole::UserSimulator, turn: self.turn, transcript, criteria: Arc::from([]) };
        let messages = vec![
            ChatMessage::new(ChatRole::System, instructions(&self.scenario.situation)),
            ChatMessage::new(ChatRole::User, assignment(self.messages)),
        ];
        ChatRequest {
            messages,
            form: AnswerForm::Words,
            sampling: self.scenario.user_simulator.sampling(),
            scene,
        }
    }
}

fn instructions(situation: &str) -> String {
    format!(
        "You play one customer who writes to a support agent. You are never the agent: you do not offer help, do not \
         answer your own question and do not describe what happens.\n\
         Stay with this situation, and reveal it the way a person would, bit by bit:\n\
         <situation>\n{situation}\n</situation>\n\
         Write in the language of the situation, briefly and plainly, as people type. React to what the agent said \
         last. When you have what you came for, say so.\n\
         Answer with one JSON object and nothing else: {{\"{LINE_FIELD}\": \"<the customer's next message>\"}}"
    )
}

fn assignment(messages: &[Message]) -> String {
    if messages.is_empty() {
        return "The conversation has not begun. Write the customer's first message.".to_owned();
    }
    format!(
        "The conversation so far:\n<transcript>\n{}</transcript>\nWrite the customer's next message.",
        transcript::render(messages)
    )
}

/// The line in the model's answer: the JSON field if there is one, the plain text of a model that ignores the form.
fn line_of(answer: &str) -> String {
    let text = without_fence(answer.trim());
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => {
            object.get(LINE_FIELD).and_then(Value::as_str).unwrap_or_default().trim().to_owned()
        }
        Ok(Value::String(line)) => line.trim().to_owned(),
        _ => text.to_owned(),
    }
}

fn without_fence(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_in_whatever_form_the_model_chose() {
        assert_eq!(line_of(r#"{"message": " my mug broke "}"#), "my mug broke");
        assert_eq!(line_of("```json\n{\"message\": \"hi\"}\n```"), "hi");
        assert_eq!(line_of("  my mug broke\n"), "my mug broke");
        assert_eq!(line_of(r#""hi""#), "hi");
    }

    #[test]
    fn an_answer_without_a_line_is_empty() {
        for empty in ["", "  ", r#"{"message": ""}"#, r#"{"thought": "hm"}"#, r#"{"message": 5}"#] {
            assert_eq!(line_of(empty), "", "{empty:?}");
        }
    }
}
