//! What a run may cost, looked at before each call.

use std::future::Future;

use tokio::sync::Mutex;

use super::Simulation;
use crate::events::{Attribution, Budget, Cost, TokenUsage};
use crate::execution::failure::{RunFailure, code};
use crate::execution::types::{ChatReply, Conversation};

/// What a run has left to spend. Everybody who is asked in one step pays from the same.
pub(super) struct Purse {
    budget: Budget,
    spent: Mutex<TokenUsage>,
}

impl Simulation<'_> {
    /// The purse of the run's next step.
    pub(super) fn purse(&self, conversation: &Conversation) -> Purse {
        Purse { budget: self.plan.budget, spent: Mutex::new(conversation.usage.total()) }
    }
}

impl Purse {
    /// Makes `call` if there is something left. Under a budget calls are made one after another: what one takes is known
    /// only when it has ended.
    pub(super) async fn pay(
        &self,
        call: impl Future<Output = Result<ChatReply, RunFailure>>,
    ) -> Result<ChatReply, RunFailure> {
        if self.budget.is_unlimited() {
            return call.await;
        }
        let mut spent = self.spent.lock().await;
        afford(self.budget, &spent)?;
        let reply = call.await?;
        spent.add(TokenUsage { calls: 1, ..reply.usage });
        Ok(reply)
    }

    /// Refuses the next call, whoever makes it, if nothing is left.
    pub(super) fn afford_now(self) -> Result<(), RunFailure> {
        afford(self.budget, &self.spent.into_inner())
    }
}

fn afford(budget: Budget, spent: &TokenUsage) -> Result<(), RunFailure> {
    if let Some(most) = budget.max_cost_usd.filter(|most| spent.cost >= *most) {
        return Err(exhausted(&format!("{most}"), spent));
    }
    if let Some(most) = budget.max_tokens.filter(|most| spent.tokens() >= *most) {
        return Err(exhausted(&format!("{most} tokens"), spent));
    }
    if spent.unreported > 0 && !budget.is_unlimited() {
        return Err(immeasurable(spent.unreported));
    }
    Ok(())
}

fn exhausted(limit: &str, spent: &TokenUsage) -> RunFailure {
    let TokenUsage { input_tokens, output_tokens, calls, cost, .. } = spent;
    let calls = if *calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
    let mut message = format!(
        "The run's budget of {limit} is spent: {calls} used {input_tokens} tokens in and {output_tokens} out"
    );
    if *cost != Cost::ZERO {
        message = format!("{message}, for {cost}");
    }
    RunFailure::new(code::BUDGET_EXCEEDED, Attribution::Budget, message)
        .with_hint("Raise `maxCostUsd` or `maxTokens` of the request or the project, or lower `maxTurns`.")
}

fn immeasurable(calls: u64) -> RunFailure {
    let message = format!("The run's budget cannot be kept: {calls} of its calls did not say what they used");
    RunFailure::new(code::BUDGET_UNMEASURED, Attribution::Budget, message)
        .with_hint("Use models whose provider reports tokens, or leave the run without a budget.")
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
