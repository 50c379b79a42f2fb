//! The judgements of an offline judge: by what the agent said, and nothing else.

use serde_json::{Map, Value, json};

use crate::definitions::{ScriptedModel, ScriptedVerdict};
use crate::events::{CriterionStatus, MessageRole};
use crate::execution::types::judging::{
    CRITERIA_FIELD, DECIDE_TOOL, DECISION_CONTINUE, DECISION_FIELD, DECISION_VERDICT, REASONING_FIELD,
    REQUIREMENT_FIELD, STATUS_FIELD, VERDICT_TOOL,
};
use crate::execution::types::{Criterion, Scene};

/// The most characters of a line that a reasoning quotes.
const MAX_QUOTED_CHARS: usize = 120;

/// A criterion as the script decides it.
struct Decision<'a> {
    criterion: &'a Criterion,
    status: CriterionStatus,
    reasoning: String,
    /// Nothing that is said later changes it for the better.
    broken: bool,
}

/// The arguments with which the judge's tool `tool` is called; none for a tool that no judge has.
pub(super) fn arguments(script: &ScriptedModel, tool: &str, scene: &Scene) -> Option<Value> {
    let decisions: Vec<Decision<'_>> =
        scene.criteria.iter().map(|criterion| decide(script, criterion, scene)).collect();
    match tool {
        DECIDE_TOOL => Some(next_step(&decisions)),
        VERDICT_TOOL => Some(verdict(&decisions)),
        _ => None,
    }
}

fn next_step(decisions: &[Decision<'_>]) -> Value {
    let broken = decisions.iter().find(|decision| decision.broken);
    let open = decisions.iter().find(|decision| decision.status != CriterionStatus::Met);
    let (decision, reasoning) = match (broken, open) {
        (Some(broken), _) => {
            (DECISION_VERDICT, format!("Criterion {} is broken. {}", broken.criterion.id, broken.reasoning))
        }
        (None, Some(open)) => {
            (DECISION_CONTINUE, format!("Criterion {} is still open. {}", open.criterion.id, open.reasoning))
        }
        (None, None) => (DECISION_VERDICT, "Every criterion is met.".to_owned()),
    };
    json!({ REASONING_FIELD: reasoning, DECISION_FIELD: decision })
}

fn verdict(decisions: &[Decision<'_>]) -> Value {
    let met = decisions.iter().filter(|decision| decision.status == CriterionStatus::Met).count();
    let criteria: Map<String, Value> =
        decisions.iter().map(|decision| (decision.criterion.id.clone(), decision.to_json())).collect();
    let reasoning = format!("{met} of {} criteria are met.", decisions.len());
    json!({ CRITERIA_FIELD: criteria, REASONING_FIELD: reasoning })
}

impl Decision<'_> {
    fn to_json(&self) -> Value {
        json!({
            REQUIREMENT_FIELD: self.criterion.text,
            REASONING_FIELD: self.reasoning,
            STATUS_FIELD: self.status,
        })
    }
}

fn decide<'a>(script: &ScriptedModel, criterion: &'a Criterion, scene: &Scene) -> Decision<'a> {
    let entry = script.verdicts.iter().find(|entry| contains(&criterion.text, &entry.criterion));
    let (status, reasoning, broken) = match entry {
        Some(ScriptedVerdict { unmet_if: Some(unwanted), met_if, .. }) => match said(scene, unwanted) {
            Some(line) => (CriterionStatus::Unmet, quote(line), true),
            None => until_broken(unwanted, met_if.as_deref(), scene),
        },
        Some(ScriptedVerdict { met_if: Some(wanted), .. }) => until_met(wanted, scene),
        _ => {
            let status = script.otherwise.unwrap_or(CriterionStatus::Met);
            (status, "The script decides this whatever is said.".to_owned(), false)
        }
    };
    Decision { criterion, status, reasoning, broken }
}

fn until_broken(unwanted: &str, wanted: Option<&str>, scene: &Scene) -> (CriterionStatus, String, bool) {
    match wanted {
        Some(wanted) => until_met(wanted, scene),
        None => (CriterionStatus::Met, format!("The agent has not said “{unwanted}”."), false),
    }
}

fn until_met(wanted: &str, scene: &Scene) -> (CriterionStatus, String, bool) {
    match said(scene, wanted) {
        Some(line) => (CriterionStatus::Met, quote(line), false),
        None => (CriterionStatus::Unmet, format!("The agent has not said “{wanted}”."), false),
    }
}

/// The agent's first line in which `text` occurs.
fn said<'a>(scene: &'a Scene, text: &str) -> Option<&'a str> {
    let mut lines = scene.transcript.iter().filter(|message| message.role == MessageRole::Assistant);
    lines.find(|message| contains(&message.content, text)).map(|message| message.content.as_str())
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn quote(line: &str) -> String {
    match line.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("The agent said “{}…”.", &line[..end]),
        None => format!("The agent said “{line}”."),
    }
}
