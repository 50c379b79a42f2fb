//! The judgements of an offline judge: by what the agent said, and nothing else.

use serde_json::{Map, Value, json};

use super::lines::{self, Line};
use crate::definitions::{ScriptedModel, ScriptedVerdict};
use crate::events::CriterionStatus;
use crate::execution::types::judging::{
    CRITERIA_FIELD, DECIDE_TOOL, DECISION_CONTINUE, DECISION_FIELD, DECISION_VERDICT, EVIDENCE_FIELD,
    MESSAGE_FIELD, QUOTE_FIELD, REASONING_FIELD, REQUIREMENT_FIELD, STATUS_FIELD, VERDICT_TOOL,
};
use crate::execution::types::{Criterion, Scene};

/// What a script that invents its quotes lets the agent have said.
const INVENTED_QUOTE: &str = "These words were never said, and the offline judge knows it.";

/// A criterion as the script decides it.
struct Decision<'a> {
    criterion: &'a Criterion,
    ruling: Ruling<'a>,
}

/// What a criterion comes to.
struct Ruling<'a> {
    status: CriterionStatus,
    reasoning: String,
    /// The line that it rests on, if it rests on any.
    evidence: Option<Line<'a>>,
    /// Nothing that is said later changes it for the better.
    broken: bool,
}

/// The arguments with which the judge's tool `tool` is called; none for a tool that no judge has.
pub(super) fn arguments(script: &ScriptedModel, tool: &str, scene: &Scene) -> Option<Value> {
    let decide = |criterion| Decision { criterion, ruling: rule(script, criterion, scene) };
    let decisions: Vec<Decision<'_>> = scene.criteria.iter().map(decide).collect();
    match tool {
        DECIDE_TOOL => Some(next_step(&decisions)),
        VERDICT_TOOL => Some(verdict(script, &decisions)),
        _ => None,
    }
}

fn next_step(decisions: &[Decision<'_>]) -> Value {
    let broken = decisions.iter().find(|decision| decision.ruling.broken);
    let open = decisions.iter().find(|decision| decision.ruling.status != CriterionStatus::Met);
    let (decision, reasoning) = match (broken, open) {
        (Some(broken), _) => (DECISION_VERDICT, broken.told("is broken")),
        (None, Some(open)) => (DECISION_CONTINUE, open.told("is still open")),
        (None, None) => (DECISION_VERDICT, "Every criterion is met.".to_owned()),
    };
    json!({ REASONING_FIELD: reasoning, DECISION_FIELD: decision })
}

fn verdict(script: &ScriptedModel, decisions: &[Decision<'_>]) -> Value {
    let met = decisions.iter().filter(|decision| decision.ruling.status == CriterionStatus::Met).count();
    let criteria: Map<String, Value> =
        decisions.iter().map(|decision| (decision.criterion.id.clone(), decision.to_json(script))).collect();
    let reasoning = format!("{met} of {} criteria are met.", decisions.len());
    json!({ CRITERIA_FIELD: criteria, REASONING_FIELD: reasoning })
}

impl Decision<'_> {
    fn told(&self, how: &str) -> String {
        format!("Criterion {} {how}. {}", self.criterion.id, self.ruling.reasoning)
    }

    fn to_json(&self, script: &ScriptedModel) -> Value {
        let Ruling { status, reasoning, evidence, .. } = &self.ruling;
        let invents = script.invents_quotes && *status == CriterionStatus::Met;
        let quote = |line: &Line<'_>| {
            let words = if invents { INVENTED_QUOTE } else { line.excerpt() };
            json!({ MESSAGE_FIELD: line.index, QUOTE_FIELD: words })
        };
        json!({
            REQUIREMENT_FIELD: self.criterion.text,
            EVIDENCE_FIELD: evidence.iter().map(quote).collect::<Vec<Value>>(),
            REASONING_FIELD: reasoning,
            STATUS_FIELD: status,
        })
    }
}

fn rule<'a>(script: &ScriptedModel, criterion: &Criterion, scene: &'a Scene) -> Ruling<'a> {
    let entry = script.verdicts.iter().find(|entry| lines::contains(&criterion.text, &entry.criterion));
    match entry {
        Some(ScriptedVerdict { unmet_if: Some(unwanted), met_if, .. }) => {
            match (lines::said(scene, unwanted), met_if) {
                (Some(line), _) => Ruling { broken: true, ..Ruling::by(CriterionStatus::Unmet, line) },
                (None, Some(wanted)) => until_met(wanted, scene),
                (None, None) => Ruling::on_the_whole(CriterionStatus::Met, not_said(unwanted), scene),
            }
        }
        Some(ScriptedVerdict { met_if: Some(wanted), .. }) => until_met(wanted, scene),
        _ => {
            let status = script.otherwise.unwrap_or(CriterionStatus::Met);
            Ruling::on_the_whole(status, "The script decides this whatever is said.".to_owned(), scene)
        }
    }
}

fn until_met<'a>(wanted: &str, scene: &'a Scene) -> Ruling<'a> {
    match lines::said(scene, wanted) {
        Some(line) => Ruling::by(CriterionStatus::Met, line),
        None => Ruling::on_the_whole(CriterionStatus::Unmet, not_said(wanted), scene),
    }
}

impl<'a> Ruling<'a> {
    /// A line decided it.
    fn by(status: CriterionStatus, line: Line<'a>) -> Self {
        Self { status, reasoning: line.quoted(), evidence: Some(line), broken: false }
    }

    /// No single line decided it. What is met is still shown by where the agent had come to.
    fn on_the_whole(status: CriterionStatus, reasoning: String, scene: &'a Scene) -> Self {
        let evidence = if status == CriterionStatus::Met { lines::last(scene) } else { None };
        Self { status, reasoning, evidence, broken: false }
    }
}

fn not_said(text: &str) -> String {
    format!("The agent has not said “{text}”.")
}
