//! Deterministic checks: what can be told of a conversation without asking a model.

use super::types::Message;
use crate::definitions::Check;
use crate::events::{CriterionResult, CriterionStatus, DecidedBy, MessageRole, UsageByRole};

/// What checks look at.
pub struct Observed<'a> {
    /// What was said.
    pub messages: &'a [Message],
    /// Turns begun.
    pub turns: u32,
    /// What was used.
    pub usage: &'a UsageByRole,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Why, in a sentence.
    pub reasoning: String,
}

/// Looks whether `check` holds.
#[must_use]
pub fn examine(check: &Check, observed: &Observed<'_>) -> Finding {
    let mut said = observed.messages.iter().filter(|message| message.role == MessageRole::Assistant);
    let standing =
        if said.any(|m| m.content.contains(&check.contains)) { Standing::Holds } else { Standing::Open };
    Finding { standing, reasoning: format!("the agent has to say “{}”", check.contains) }
}

/// The result of `check` as the outcome lists it, under `id`.
#[must_use]
pub fn result(id: String, check: &Check, observed: &Observed<'_>) -> CriterionResult {
    let Finding { standing, reasoning } = examine(check, observed);
    let status = if standing == Standing::Holds { CriterionStatus::Met } else { CriterionStatus::Unmet };
    let decided_by = DecidedBy::Check;
    CriterionResult { decided_by, ..CriterionResult::new(id, check.title(), status, reasoning) }
}
