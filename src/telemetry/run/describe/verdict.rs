//! A judgement on a span: as attributes, and as evaluation events.

use opentelemetry::KeyValue;
use serde_json::{Value, json};

use super::super::attributes as key;
use super::super::content::{cut, envelope};
use crate::events::{CriterionResult, CriterionStatus, Verdict};
use crate::execution::types::Judgement;

/// Name of the evaluation that a whole run is.
const EVALUATION: &str = "scenario";

pub(super) fn attributes(judgement: &Judgement) -> Vec<KeyValue> {
    let output = json!({
        "verdict": verdict(judgement.verdict),
        "reasoning": cut(&judgement.reasoning),
        "criteria": judgement.criteria.iter().map(criterion).collect::<Value>(),
    });
    let count = |status| {
        let matching = judgement.criteria.iter().filter(|c| c.status == status);
        i64::try_from(matching.count()).unwrap_or(i64::MAX)
    };
    vec![
        KeyValue::new(key::LANGWATCH_OUTPUT, envelope("json", &output)),
        KeyValue::new(key::SCENARIO_VERDICT, verdict(judgement.verdict)),
        KeyValue::new(key::SCENARIO_CRITERIA_MET, count(CriterionStatus::Met)),
        KeyValue::new(key::SCENARIO_CRITERIA_UNMET, count(CriterionStatus::Unmet)),
        KeyValue::new(key::SCENARIO_CRITERIA_INCONCLUSIVE, count(CriterionStatus::Inconclusive)),
    ]
}

/// One event for each criterion, and one for LangWatch about the whole.
pub(super) fn events(judgement: &Judgement, run_id: &str) -> Vec<(&'static str, Vec<KeyValue>)> {
    let whole = vec![KeyValue::new(key::JSON_ENCODED_EVENT, evaluation(judgement, run_id).to_string())];
    let criteria = judgement.criteria.iter().map(|c| (key::EVALUATION_RESULT, result(c)));
    criteria.chain([(key::LANGWATCH_EVALUATION, whole)]).collect()
}

fn result(criterion: &CriterionResult) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(key::EVALUATION_NAME, cut(&criterion.text)),
        KeyValue::new(key::SCENARIO_CRITERION_ID, criterion.id.clone()),
        KeyValue::new(key::EVALUATION_LABEL, label(criterion.status)),
        KeyValue::new(key::EVALUATION_EXPLANATION, cut(&criterion.reasoning)),
    ];
    attributes.extend(score(criterion.status).map(|score| KeyValue::new(key::EVALUATION_SCORE, score)));
    attributes
}

/// An inconclusive whole is neither passed nor failed. The score is the share of criteria that are met.
fn evaluation(judgement: &Judgement, run_id: &str) -> Value {
    let mut event = json!({
        "evaluation_id": format!("{EVALUATION}_{run_id}"),
        "name": EVALUATION,
        "type": "custom",
        "status": "processed",
        "label": verdict(judgement.verdict),
        "details": cut(&judgement.reasoning),
    });
    // Not every reader takes null for what is unknown.
    if judgement.verdict != Verdict::Inconclusive {
        event["passed"] = (judgement.verdict == Verdict::Success).into();
    }
    if let Some(share) = share_met(judgement) {
        event["score"] = share.into();
    }
    event
}

/// Which part of the criteria is met.
fn share_met(judgement: &Judgement) -> Option<f64> {
    let scores = judgement.criteria.iter().map(|c| score(c.status).unwrap_or_default());
    let (met, all) = scores.fold((0.0, 0.0), |(met, all), score| (met + score, all + 1.0));
    (all > 0.0).then(|| met / all)
}

fn criterion(criterion: &CriterionResult) -> Value {
    json!({
        "id": criterion.id,
        "text": cut(&criterion.text),
        "status": criterion.status,
        "reasoning": cut(&criterion.reasoning),
    })
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Success => "success",
        Verdict::Failure => "failure",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn label(status: CriterionStatus) -> &'static str {
    match status {
        CriterionStatus::Met => "pass",
        CriterionStatus::Unmet => "fail",
        CriterionStatus::Inconclusive => "inconclusive",
    }
}

fn score(status: CriterionStatus) -> Option<f64> {
    match status {
        CriterionStatus::Met => Some(1.0),
        CriterionStatus::Unmet => Some(0.0),
        CriterionStatus::Inconclusive => None,
    }
}
