//! Rules of what the run took. What was taken is never given back, so a limit that is exceeded stays so.
//!
//! What nobody measured is not within a limit: the agent may report no tokens, and a model may have no price.

use super::{Finding, Observed, Standing};
use crate::definitions::{Limit, Range, TokenLimit, UsageRole};
use crate::events::{Cost, TokenUsage};

const NOT_ASKED: &str = "The agent was not asked for any reply.";

pub(super) fn examine(limit: &Limit, observed: &Observed<'_>) -> Finding {
    match limit {
        Limit::Turns(range) => turns(*range, observed.turns),
        Limit::ReplyLatencyMs(max) => reply_latency(*max, observed),
        Limit::TotalLatencyMs(max) => total_latency(*max, observed),
        Limit::Tokens(limit) => tokens(*limit, observed),
        Limit::CostUsd(max) => cost(*max, observed),
    }
}

fn at_most(within: bool, reasoning: String) -> Finding {
    Finding::new(if within { Standing::Holds } else { Standing::Broken }, reasoning)
}

fn turns(range: Range, turns: u32) -> Finding {
    let reasoning = format!("The conversation took {turns} turns, and may take {}.", range.in_words());
    if range.min.is_some_and(|min| turns < min) && range.max.is_none_or(|max| turns <= max) {
        return Finding::new(Standing::Open, reasoning);
    }
    at_most(range.max.is_none_or(|max| turns <= max), reasoning)
}

/// The agent's replies that took time: nobody was asked for what a script says.
fn latencies(observed: &Observed<'_>) -> Vec<(usize, u64)> {
    observed.replies().filter_map(|(index, message)| Some((index, message.latency_ms?))).collect()
}

fn reply_latency(max: u64, observed: &Observed<'_>) -> Finding {
    let latencies = latencies(observed);
    // The first of those that took too long: it stays the reason, whatever comes.
    let slow = latencies.iter().find(|(_, took)| *took > max);
    let slowest = latencies.iter().max_by_key(|(_, took)| *took);
    match slow.or(slowest) {
        None => Finding::new(Standing::Open, NOT_ASKED),
        Some((index, took)) if *took > max => {
            at_most(false, format!("Message {index} took {took} ms, more than {max} ms."))
        }
        Some((index, took)) => {
            at_most(true, format!("The slowest reply, message {index}, took {took} ms, at most {max} ms."))
        }
    }
}

fn total_latency(max: u64, observed: &Observed<'_>) -> Finding {
    let latencies = latencies(observed);
    let total = latencies.iter().fold(0_u64, |total, (_, took)| total.saturating_add(*took));
    let replies = latencies.len();
    if replies == 0 {
        return Finding::new(Standing::Open, NOT_ASKED);
    }
    at_most(total <= max, format!("The agent took {total} ms for {replies} replies, and may take {max} ms."))
}

fn tokens(TokenLimit { max, role }: TokenLimit, observed: &Observed<'_>) -> Finding {
    let (who, usage) = match role {
        None => ("the run", observed.usage.total()),
        Some(role) => (role.in_words(), of_role(role, observed)),
    };
    let used = usage.tokens();
    let silent = if used == 0 { usage.calls } else { usage.unreported };
    if used <= max && silent > 0 {
        let reasoning = format!(
            "How many tokens {who} used is not known: of {} calls, {silent} did not say it; the others used {used}.",
            usage.calls
        );
        return Finding::new(Standing::Open, reasoning);
    }
    at_most(used <= max, format!("{used} tokens were used by {who}, and {max} may be."))
}

fn of_role(role: UsageRole, observed: &Observed<'_>) -> TokenUsage {
    match role {
        UsageRole::UserSimulator => observed.usage.user_simulator,
        UsageRole::Target => observed.usage.target,
        UsageRole::Judge => observed.usage.judge,
    }
}

fn cost(max: Cost, observed: &Observed<'_>) -> Finding {
    let total = observed.usage.total();
    let unknown = total.unpriced.max(total.unreported);
    if total.cost <= max && unknown > 0 {
        let reasoning = format!(
            "What the run cost is not known: {unknown} of its calls of models did not say what they used, or have no \
             `prices` in their provider."
        );
        return Finding::new(Standing::Open, reasoning);
    }
    at_most(total.cost <= max, format!("The run cost {}, and may cost {max}.", total.cost))
}
