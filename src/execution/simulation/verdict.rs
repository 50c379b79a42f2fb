//! The verdict tool and how its answer is read: by criterion id, closed where something is missing.

use serde_json::{Map, Value, json};

use crate::events::{CriterionResult, CriterionStatus};
use crate::execution::types::judging::{
    CRITERIA_FIELD, REASONING_FIELD, REQUIREMENT_FIELD, STATUS_FIELD, VERDICT_TOOL,
};
use crate::execution::types::{Criterion, Judgement, ToolSpec};
use crate::text::cut;

/// How much of the judge's reasoning is kept for one criterion and for the run, in bytes: enough for a few paragraphs,
/// and far too little to make an outcome that cannot be published.
const MAX_REASONING_BYTES: usize = 4096;
const LEFT_OUT: &str = "The judge left this criterion out.";
const NO_STATUS: &str = "The judge gave this criterion no status that can be read.";

/// The tool that asks for every criterion by its id: reasoning before status, no overall verdict.
pub(super) fn tool(criteria: &[Criterion]) -> ToolSpec {
    let entries: Map<String, Value> = criteria.iter().map(|c| (c.id.clone(), entry(c))).collect();
    let ids: Vec<&str> = criteria.iter().map(|c| c.id.as_str()).collect();
    ToolSpec {
        name: VERDICT_TOOL.to_owned(),
        description: "Give the status of every criterion.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                CRITERIA_FIELD: { "type": "object", "properties": entries, "required": ids, "additionalProperties": false },
                REASONING_FIELD: { "type": "string", "description": "The judgement in a sentence or two." },
            },
            "required": [CRITERIA_FIELD, REASONING_FIELD],
            "additionalProperties": false,
        }),
    }
}

fn entry(criterion: &Criterion) -> Value {
    json!({
        "type": "object",
        "description": criterion.text,
        "properties": {
            REQUIREMENT_FIELD: { "type": "string", "description": "The criterion restated positively." },
            REASONING_FIELD: { "type": "string", "description": "What the transcript shows." },
            STATUS_FIELD: { "type": "string", "enum": ["met", "unmet", "inconclusive"] },
        },
        "required": [REQUIREMENT_FIELD, REASONING_FIELD, STATUS_FIELD],
        "additionalProperties": false,
    })
}

/// Reads the arguments of the verdict tool.
pub(super) fn read(answer: &Value, criteria: &[Criterion]) -> Judgement {
    let given = answer.get(CRITERIA_FIELD).cloned().map_or(Value::Null, unwrap_json_text);
    let results: Vec<CriterionResult> = criteria.iter().map(|c| result(c, given.get(&c.id))).collect();
    let summary =
        answer.get(REASONING_FIELD).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let reasoning = summary.map_or_else(|| summarize(&results), |text| cut(text, MAX_REASONING_BYTES));
    Judgement::derive(results, reasoning)
}

fn result(criterion: &Criterion, given: Option<&Value>) -> CriterionResult {
    let (status, reasoning) = match given {
        None | Some(Value::Null) => (CriterionStatus::Unmet, LEFT_OUT.to_owned()),
        Some(entry) => {
            let reasoning = entry.get(REASONING_FIELD).and_then(Value::as_str).unwrap_or_default();
            let reasoning = cut(reasoning, MAX_REASONING_BYTES);
            match status_of(entry.get(STATUS_FIELD).unwrap_or(entry)) {
                Some(status) => (status, reasoning),
                None => (CriterionStatus::Unmet, format!("{NO_STATUS} {reasoning}").trim().to_owned()),
            }
        }
    };
    CriterionResult::new(&criterion.id, &criterion.text, status, reasoning)
}

fn summarize(results: &[CriterionResult]) -> String {
    let met = results.iter().filter(|r| r.status == CriterionStatus::Met).count();
    format!("{met} of {} criteria are met.", results.len())
}

/// Some servers send an object as the JSON text of it.
pub(super) fn unwrap_json_text(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(inner)) => inner,
        _ => value,
    }
}

/// The status that a word stands for; models mix their vocabularies.
fn status_of(value: &Value) -> Option<CriterionStatus> {
    let word = match value {
        Value::Bool(true) => "met".to_owned(),
        Value::Bool(false) => "unmet".to_owned(),
        other => other.as_str()?.trim().to_lowercase(),
    };
    match word.as_str() {
        "met" | "passed" | "pass" | "true" => Some(CriterionStatus::Met),
        "unmet" | "failed" | "fail" | "false" => Some(CriterionStatus::Unmet),
        "inconclusive" => Some(CriterionStatus::Inconclusive),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Verdict;

    fn criteria() -> Vec<Criterion> {
        Criterion::number(&["Entschuldigt sich".to_owned(), "返金を申し出る".to_owned()])
    }

    fn statuses(answer: &Value) -> Vec<CriterionStatus> {
        read(answer, &criteria()).criteria.iter().map(|c| c.status).collect()
    }

    #[test]
    fn criteria_are_matched_by_id_and_a_missing_one_is_unmet() {
        let swapped =
            json!({ "criteria": { "c2": { "status": "met", "reasoning": "r" } }, "reasoning": "s" });
        assert_eq!(statuses(&swapped), [CriterionStatus::Unmet, CriterionStatus::Met]);
        let judgement = read(&swapped, &criteria());
        assert_eq!(
            (judgement.verdict, judgement.criteria[0].reasoning.as_str()),
            (Verdict::Failure, LEFT_OUT)
        );
    }

    #[test]
    fn bare_words_booleans_and_json_text_are_understood() {
        assert_eq!(
            statuses(&json!({ "criteria": { "c1": "passed", "c2": false } })),
            [CriterionStatus::Met, CriterionStatus::Unmet]
        );
        assert_eq!(
            statuses(&json!({ "criteria": "{\"c1\": true, \"c2\": \"inconclusive\"}" })),
            [CriterionStatus::Met, CriterionStatus::Inconclusive]
        );
    }

    #[test]
    fn nonsense_fails_closed() {
        for nonsense in
            [json!({}), json!({ "criteria": [] }), json!({ "criteria": { "c1": "great", "c2": 7 } })]
        {
            assert_eq!(statuses(&nonsense), [CriterionStatus::Unmet, CriterionStatus::Unmet], "{nonsense}");
        }
    }

    #[test]
    fn the_verdict_is_derived_from_the_criteria() {
        let verdict =
            |a: &str, b: &str| read(&json!({ "criteria": { "c1": a, "c2": b } }), &criteria()).verdict;
        assert_eq!(verdict("met", "met"), Verdict::Success);
        assert_eq!(verdict("met", "inconclusive"), Verdict::Inconclusive);
        assert_eq!(verdict("inconclusive", "unmet"), Verdict::Failure);
    }
}
