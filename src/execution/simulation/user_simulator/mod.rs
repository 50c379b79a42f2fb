//! The simulated customer: asked for one line, and asked again if the line is not a customer's.

mod conversation;
mod guard;
#[cfg(test)]
mod labelled_lines;
mod mending;
mod prompt;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::definitions::Scenario;
use crate::events::{Attribution, TokenUsage};
use crate::execution::chat::{chat_in_span, usage_of};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::{ChatModel, RunSpan};
use crate::execution::types::{AnswerForm, ChatOptions, ChatRequest, Message, Scene, SceneRole};
use crate::text;
use guard::{Fault, Heard};

/// How often the customer is asked for one line before the run is given up: models do slip at times, and those that
/// are told why mostly do not slip again.
const ATTEMPTS_PER_LINE: u32 = 3;
/// The most bytes of a refused line that a message quotes: enough to recognise it.
const MAX_QUOTED_BYTES: usize = 300;

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

/// An answer that is no line of a customer.
struct Refusal {
    fault: Fault,
    /// The answer, cut.
    quoted: String,
}

impl Customer<'_> {
    /// The customer's next line. Tokens are added to `usage` whatever comes of it.
    pub(super) async fn speak(&self, usage: &mut TokenUsage) -> Result<String, RunFailure> {
        let heard = Heard::of(self.messages);
        let mut refused: Vec<Refusal> = Vec::new();
        for _ in 0..ATTEMPTS_PER_LINE {
            let reply = chat_in_span(self.model, self.request(refused.last()), self.span).await;
            usage.add(usage_of(&reply));
            match line_of(&reply?.content, &heard) {
                Ok(line) => return Ok(line),
                Err(refusal) => refused.push(refusal),
            }
        }
        Err(self.given_up(&refused))
    }

    fn request(&self, refusal: Option<&Refusal>) -> ChatRequest {
        let transcript = Arc::clone(self.messages);
        let scene =
            Scene { role: SceneRole::UserSimulator, turn: self.turn, transcript, criteria: Arc::from([]) };
        let settings = &self.scenario.user_simulator;
        let messages = prompt::messages(settings.form, &self.scenario.situation, self.messages, refusal);
        ChatRequest {
            messages,
            form: AnswerForm::Words,
            sampling: settings.sampling(),
            options: ChatOptions::default(),
            scene,
        }
    }

    /// Said of the last answer that had words; only a customer who never had any was silent.
    fn given_up(&self, refused: &[Refusal]) -> RunFailure {
        let (model, turn) = (self.model.name(), self.turn);
        let spoken = refused.iter().rev().find(|refusal| refusal.fault != Fault::Empty);
        let (code, message) = match spoken {
            None => (
                code::USER_SIMULATOR_EMPTY,
                format!(
                    "The simulated customer ({model}) had nothing to say in turn {turn}, {ATTEMPTS_PER_LINE} times"
                ),
            ),
            Some(refusal) => (
                code::USER_SIMULATOR_INVALID,
                format!(
                    "The simulated customer ({model}) gave no line of a customer in turn {turn}, {ATTEMPTS_PER_LINE} times; {refusal}"
                ),
            ),
        };
        RunFailure::new(code, Attribution::UserSimulator, message).with_hint(
            "Choose another model for the customer, allow it more `maxTokens`, or make the situation more concrete.",
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer {}", self.fault)?;
        if self.quoted.is_empty() { Ok(()) } else { write!(f, ": “{}”", self.quoted) }
    }
}

/// The customer's line in the model's answer, mended where that is safe.
fn line_of(answer: &str, heard: &Heard<'_>) -> Result<String, Refusal> {
    let refusal = |fault, line: &str| Refusal { fault, quoted: text::cut(line.trim(), MAX_QUOTED_BYTES) };
    let line = mending::mend(answer).map_err(|fault| refusal(fault, answer))?;
    match guard::inspect(&line, heard) {
        None => Ok(line),
        Some(fault) => Err(refusal(fault, &line)),
    }
}
