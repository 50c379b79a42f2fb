//! What a run may cost, looked at before each call.

use super::Simulation;
use crate::events::{Attribution, Cost, TokenUsage};
use crate::execution::failure::{RunFailure, code};
use crate::execution::types::Conversation;

impl Simulation<'_> {
    /// Refuses the next call if what was spent has reached a limit.
    pub(super) fn afford(&self, conversation: &Conversation) -> Result<(), RunFailure> {
        let (budget, spent) = (self.plan.budget, conversation.usage.total());
        let tokens = spent.input_tokens.saturating_add(spent.output_tokens);
        if let Some(most) = budget.max_cost_usd.filter(|most| spent.cost >= *most && !spent.cost.is_zero()) {
            return Err(exhausted(&format!("{most}"), &spent));
        }
        if let Some(most) = budget.max_tokens.filter(|most| tokens >= *most) {
            return Err(exhausted(&format!("{most} tokens"), &spent));
        }
        Ok(())
    }
}

fn exhausted(limit: &str, spent: &TokenUsage) -> RunFailure {
    let TokenUsage { input_tokens, output_tokens, calls, cost } = spent;
    let counted = if *calls == 1 { "call" } else { "calls" };
    let mut message = format!(
        "The run's budget of {limit} is spent: {calls} {counted} used {input_tokens} tokens in and {output_tokens} out"
    );
    if *cost != Cost::ZERO {
        message = format!("{message}, for {cost}");
    }
    RunFailure::new(code::BUDGET_EXCEEDED, Attribution::Budget, message)
        .with_hint("Raise `maxCostUsd` or `maxTokens` of the request or the project, or lower `maxTurns`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_is_not_calls() {
        let said = |calls| exhausted("5 tokens", &TokenUsage { calls, ..TokenUsage::default() }).message;
        assert!(said(1).contains("1 call used") && said(2).contains("2 calls used"));
    }
}
