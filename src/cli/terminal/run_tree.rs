//! A run as a tree: its turns with what was said and done, its judgement, and what it all took. It is made of the outcome
//! alone; the spans of a run are kept by nobody but the tenant's endpoint.

use super::branches::{Branch, draw};
use super::cells::mark;
use super::outcomes::{coloured, seconds, status};
use super::{DIM, plain_line, styled};
use crate::events::{MessageRole, RunCompleted, TelemetryReceipt, TokenUsage, ToolCall, TranscriptMessage};

/// The run of `outcome` as lines.
pub(crate) fn run_tree(outcome: &RunCompleted) -> String {
    let mut below = turns(outcome);
    below.push(judgement(outcome));
    below.push(usage(outcome));
    below.push(spans(&outcome.telemetry));
    let run = Branch::new(format!("run {}", outcome.ids.scenario_run_id));
    let note = format!("{}  {}", status(outcome.status), seconds(outcome.duration_ms));
    coloured(&draw(&run.noted(note).above(below)))
}

fn turns(outcome: &RunCompleted) -> Vec<Branch> {
    let Some(messages) = &outcome.messages else {
        return vec![Branch::new(
            "the conversation is too long for the outcome; its messages are events of their own",
        )];
    };
    let turns = messages.chunk_by(|one, next| one.turn == next.turn);
    turns
        .map(|turn| Branch::new(format!("turn {}", turn[0].turn)).above(turn.iter().map(message).collect()))
        .collect()
}

fn message(message: &TranscriptMessage) -> Branch {
    let speaker = match message.role {
        MessageRole::User => "customer",
        MessageRole::Assistant => "agent",
        MessageRole::Tool => "tool",
    };
    let said = Branch::new(plain_line(&format!("{speaker}: {}", message.content)));
    let told = message.tool_calls.iter().map(|call| tool(call, ""));
    let traced = message.trace_tool_calls.iter().map(|call| tool(call, "told by its spans"));
    let took = message.latency_ms.map(|millis| styled(DIM, seconds(millis))).unwrap_or_default();
    said.noted(took).above(told.chain(traced).collect())
}

fn tool(call: &ToolCall, note: &str) -> Branch {
    let note = if note.is_empty() { String::new() } else { styled(DIM, note) };
    Branch::new(plain_line(&format!("{}({})", call.name, call.arguments))).noted(note)
}

fn judgement(outcome: &RunCompleted) -> Branch {
    let criteria = outcome.criteria.iter().map(|criterion| {
        let why = Branch::new(plain_line(&criterion.reasoning));
        let below = if criterion.reasoning.is_empty() { Vec::new() } else { vec![why] };
        Branch::new(plain_line(&format!("{} {}", mark(criterion.status), criterion.text))).above(below)
    });
    Branch::new(plain_line(&format!("judgement: {}", outcome.reasoning))).above(criteria.collect())
}

fn usage(outcome: &RunCompleted) -> Branch {
    let roles = [
        ("customer", outcome.usage.user_simulator),
        ("agent", outcome.usage.target),
        ("judge", outcome.usage.judge),
    ];
    let below = roles.into_iter().map(|(role, usage)| Branch::new(role).noted(used(&usage)));
    Branch::new("used").noted(used(&outcome.usage_total)).above(below.collect())
}

fn used(usage: &TokenUsage) -> String {
    let calls = if usage.calls == 1 { "1 call".to_owned() } else { format!("{} calls", usage.calls) };
    let mut parts = vec![calls];
    if usage.tokens() > 0 {
        parts.push(format!("{} → {} tokens", usage.input_tokens, usage.output_tokens));
    }
    if !usage.cost.is_zero() {
        parts.push(usage.cost.to_string());
    }
    styled(DIM, parts.join(", "))
}

fn spans(receipt: &TelemetryReceipt) -> Branch {
    let trace = receipt.trace_id.as_deref().unwrap_or("none");
    let error = receipt.error.iter().map(|error| Branch::new(plain_line(error))).collect();
    let note = format!("{} of {} spans exported", receipt.exported, receipt.spans);
    Branch::new(format!("trace {trace}")).noted(styled(DIM, note)).above(error)
}

#[cfg(test)]
mod tests {
    use super::super::samples::outcome;
    use super::*;

    fn shown(outcome: &RunCompleted) -> String {
        anstream::adapter::strip_str(&run_tree(outcome)).to_string()
    }

    #[test]
    fn a_run_is_its_turns_its_judgement_and_what_they_took() {
        let tree = shown(&outcome("r1", "FAILED"));
        for part in [
            "run r1",
            "✘ FAILED  1.5 s",
            "├─ turn 1\n│  ├─ customer: my mug broke",
            "│  └─ agent: I am sorry",
            "│     └─ find_order({\"number\":7})",
            "│  └─ ✘ It refunds\n│     └─ Nobody speaks of money.",
            "5 calls, 200 → 40 tokens, 0.010000 USD",
            "└─ trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "9 of 9 spans exported",
        ] {
            assert!(tree.contains(part), "{part} is missing in\n{tree}");
        }
        assert!(
            tree.lines().any(|line| line.contains("agent: I am sorry") && line.ends_with("0.4 s")),
            "{tree}"
        );
    }

    #[test]
    fn an_agent_controls_nobodys_terminal_and_may_say_too_much() {
        let mut hostile = outcome("r1", "SUCCESS");
        hostile.messages.as_mut().unwrap()[1].content = "\u{1b}]0;owned\u{7}\nline".repeat(99);
        let tree = shown(&hostile);
        assert!(
            !tree.chars().any(|c| c.is_control() && c != '\n') && tree.contains("␛]0;owned␇ line"),
            "{tree:?}"
        );
        hostile.messages = None;
        assert!(shown(&hostile).contains("too long for the outcome"));
    }
}
