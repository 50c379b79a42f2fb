//! Deterministic checks: what can be told of a conversation without asking a model.
//!
//! A check that cannot be examined, because its pattern, path or schema is not valid, never holds, and says why: the
//! import refuses such a check, so nothing else than a definition that was stored another way gets here with one.

mod json;
mod limits;
mod replies;
mod reply;
mod tools;

use super::types::{MAX_QUOTES, Message};
use crate::definitions::{Check, CheckRule};
use crate::events::{CriterionResult, CriterionStatus, DecidedBy, MessageRole, Quote, UsageByRole};
use crate::text::cut;

/// The most that is said of a check, in bytes: enough for a list of texts, far too little to make an outcome that
/// cannot be published.
const MAX_REASONING_BYTES: usize = 2048;
/// The most that a sentence repeats of a message or of a definition, in bytes.
const SHOWN_BYTES: usize = 160;

/// What checks look at.
pub struct Observed<'a> {
    /// What was said.
    pub messages: &'a [Message],
    /// The agent may have called tools that no message has.
    pub tool_calls_unknown: bool,
    /// How many calls of tools it told of that were too many to be known.
    pub tool_calls_left_out: u64,
    /// Turns begun.
    pub turns: u32,
    /// What was used.
    pub usage: &'a UsageByRole,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It holds.
    Holds,
    /// It does not hold, and may yet.
    Open,
    /// It does not hold, and nothing that comes changes that.
    Broken,
}

/// What was found of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub standing: Standing,
    /// Why, in a sentence or a few.
    pub reasoning: String,
    /// The passages that it rests on, word by word.
    pub evidence: Vec<Quote>,
}

impl Finding {
    fn new(standing: Standing, reasoning: impl Into<String>) -> Self {
        Self { standing, reasoning: reasoning.into(), evidence: Vec::new() }
    }

    /// Whatever is still said, a check that is none does not hold.
    fn invalid(what: &str, source: &str, reason: &str) -> Self {
        let source = cut(source, SHOWN_BYTES);
        Self::new(Standing::Broken, format!("The check cannot be examined: its {what} `{source}` {reason}."))
    }

    fn bounded(mut self) -> Self {
        self.reasoning = cut(&self.reasoning, MAX_REASONING_BYTES);
        self.evidence.truncate(MAX_QUOTES);
        self
    }
}

/// Looks how `check` stands. It is a matter of what is observed alone: no time, no network, no chance.
#[must_use]
pub fn examine(check: &Check, observed: &Observed<'_>) -> Finding {
    let finding = match &check.rule {
        CheckRule::Reply(rule) => replies::examine(rule, observed),
        CheckRule::Tool(rule) => tools::examine(rule, observed),
        CheckRule::Limit(limit) => limits::examine(limit, observed),
    };
    finding.bounded()
}

/// The result of `check` as the outcome lists it, under `id`.
#[must_use]
pub fn result(id: String, check: &Check, observed: &Observed<'_>) -> CriterionResult {
    let Finding { standing, reasoning, evidence } = examine(check, observed);
    let status = if standing == Standing::Holds { CriterionStatus::Met } else { CriterionStatus::Unmet };
    let decided_by = DecidedBy::Check;
    CriterionResult { decided_by, evidence, ..CriterionResult::new(id, check.title(), status, reasoning) }
}

impl<'a> Observed<'a> {
    /// What the agent said, with its place in the transcript; words that a script puts into its mouth included.
    fn replies(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Message)> + use<'a> {
        self.messages.iter().enumerate().filter(|(_, message)| message.role == MessageRole::Assistant)
    }
}

/// A text as a sentence repeats it.
fn shown(text: &str) -> String {
    cut(text.trim(), SHOWN_BYTES)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
