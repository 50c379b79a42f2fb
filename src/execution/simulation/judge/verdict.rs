//! The verdict: its tool, and how its answer is read: by criterion id, closed where something is missing, and met only
//! with words of the agent or its tools that stand in the transcript.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::Reading;
use super::answer::unwrap_json_text;
use super::evidence::{Claim, Findings, Source};
use crate::events::{CriterionResult, CriterionStatus, Quote};
use crate::execution::types::judging::{
    CRITERIA_FIELD, EVIDENCE_FIELD, MESSAGE_FIELD, QUOTE_FIELD, REASONING_FIELD, REQUIREMENT_FIELD,
    STATUS_FIELD, VERDICT_TOOL,
};
use crate::execution::types::{Criterion, JudgeAnswer, Judgement, ToolSpec};
use crate::text::cut;

/// How much of the judge's reasoning is kept for one criterion and for the run, in bytes: enough for a few paragraphs,
/// and far too little to make an outcome that cannot be published.
const MAX_REASONING_BYTES: usize = 4096;
/// What models call the id of a criterion in a list.
const ID_FIELD: &str = "id";
const LEFT_OUT: &str = "The judge left this criterion out.";
const NO_STATUS: &str = "The judge gave this criterion no status that can be read.";
const CONTRADICTED: &str = "The judge gave this criterion different statuses, so none of them counts.";
const CUSTOMERS_EVIDENCE: &str =
    "[Not taken as met: of what the judge quoted, only words of the customer stand in the transcript.]";
const NO_EVIDENCE: &str = "[Not taken as met: the judge quoted nothing from the transcript.]";

/// What is said of a criterion, with its id.
type Entry = (String, Value);

/// The tool that asks for every criterion by its id: evidence and reasoning before status, no overall verdict.
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
            EVIDENCE_FIELD: { "type": "array", "description": "Quotes from the transcript.", "items": quote() },
            REASONING_FIELD: { "type": "string", "description": "What the transcript shows." },
            STATUS_FIELD: { "type": "string", "enum": ["met", "unmet", "inconclusive"] },
        },
        "required": [REQUIREMENT_FIELD, EVIDENCE_FIELD, REASONING_FIELD, STATUS_FIELD],
        "additionalProperties": false,
    })
}

fn quote() -> Value {
    json!({
        "type": "object",
        "properties": {
            MESSAGE_FIELD: { "type": "integer", "description": "The index of the message." },
            QUOTE_FIELD: { "type": "string", "description": "Words of that message, copied exactly." },
        },
        "required": [MESSAGE_FIELD, QUOTE_FIELD],
        "additionalProperties": false,
    })
}

/// Reads the arguments of the verdict tool, if they are about criteria at all. What is left out is unmet; of what is said
/// in different ways nothing counts.
pub(super) fn read(answers: &[Value], criteria: &[Criterion], source: &Source<'_>) -> Option<Reading> {
    let read: Vec<Vec<Entry>> = answers.iter().filter_map(|answer| entries(answer, criteria)).collect();
    if read.is_empty() {
        return None;
    }
    let given = read.concat();
    let rulings: Vec<Ruling> = criteria.iter().map(|criterion| ruling(&criterion.id, &given)).collect();
    let is_complete = rulings.iter().all(|ruling| matches!(ruling, Ruling::Said(..)));
    let results = criteria.iter().zip(rulings).map(|(criterion, ruling)| ruling.result(criterion, source));
    let results: Vec<CriterionResult> = results.collect();
    let summary = answers.iter().rev().find_map(summary);
    let reasoning = summary.map_or_else(|| summarize(&results), |text| cut(text, MAX_REASONING_BYTES));
    let verdict = JudgeAnswer::Verdict(Judgement::derive(results, reasoning));
    Some(if is_complete { Reading::Complete(verdict) } else { Reading::Partial(verdict) })
}

fn summary(answer: &Value) -> Option<&str> {
    answer.get(REASONING_FIELD)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The entries with their ids, from an object, the JSON text of one, a list, or an answer that is nothing but the
/// entries. An id may be there twice.
fn entries(answer: &Value, criteria: &[Criterion]) -> Option<Vec<Entry>> {
    let given = answer.get(CRITERIA_FIELD).cloned().map(unwrap_json_text);
    let entries: Vec<Entry> = match given {
        Some(Value::Object(entries)) => by_id(entries),
        Some(Value::Array(list)) => list.into_iter().filter_map(listed).collect(),
        Some(_) => return None,
        None => {
            let entries = by_id(answer.as_object()?.clone());
            let is_one = |(id, _): &Entry| criteria.iter().any(|criterion| criterion.id == *id);
            entries.iter().any(is_one).then_some(entries)?
        }
    };
    Some(entries.into_iter().map(|(id, entry)| (id, unwrap_json_text(entry))).collect())
}

/// Whoever gives an id several entries gives a list of them.
fn by_id(entries: Map<String, Value>) -> Vec<Entry> {
    let each = |(id, entry): Entry| {
        let entries = if let Value::Array(list) = entry { list } else { vec![entry] };
        entries.into_iter().map(move |entry| (plain_id(&id), entry))
    };
    entries.into_iter().flat_map(each).collect()
}

fn listed(entry: Value) -> Option<Entry> {
    let entry = unwrap_json_text(entry);
    Some((plain_id(entry.get(ID_FIELD)?.as_str()?), entry))
}

/// Ids are small letters and digits; models write them as `C1` at times.
fn plain_id(id: &str) -> String {
    id.trim().to_lowercase()
}

/// What a judge says of one criterion.
enum Ruling {
    LeftOut,
    /// No status that can be read.
    Unclear(Value),
    /// Different statuses.
    Contradicted,
    Said(CriterionStatus, Value),
}

/// What the entries say of a criterion. Of several that say the same, the last one is the reason.
fn ruling(id: &str, given: &[Entry]) -> Ruling {
    let entries: Vec<&Value> =
        given.iter().filter(|(of, entry)| of == id && !entry.is_null()).map(|(_, entry)| entry).collect();
    let said: Vec<(CriterionStatus, &Value)> = entries
        .iter()
        .flat_map(|entry| statuses(entry).into_iter().map(move |status| (status, *entry)))
        .collect();
    match (said.last(), entries.last()) {
        (Some((status, _)), _) if said.iter().any(|(other, _)| other != status) => Ruling::Contradicted,
        (Some((status, entry)), _) => Ruling::Said(*status, (*entry).clone()),
        (None, Some(entry)) => Ruling::Unclear((*entry).clone()),
        (None, None) => Ruling::LeftOut,
    }
}

impl Ruling {
    fn result(self, criterion: &Criterion, source: &Source<'_>) -> CriterionResult {
        let decided = |status, reasoning: &str| {
            CriterionResult::new(&criterion.id, &criterion.text, status, reasoning.to_owned())
        };
        match self {
            Self::LeftOut => decided(CriterionStatus::Unmet, LEFT_OUT),
            Self::Unclear(entry) => decided(CriterionStatus::Unmet, &and(NO_STATUS, &reasoning(&entry))),
            Self::Contradicted => decided(CriterionStatus::Inconclusive, CONTRADICTED),
            Self::Said(status, entry) => {
                let (status, reasoning, evidence) = founded(status, &entry, source);
                CriterionResult { evidence, ..decided(status, &reasoning) }
            }
        }
    }
}

/// A status with what it rests on: `met` does not stand without words of the agent or its tools, for it is the agent who
/// is judged.
fn founded(
    status: CriterionStatus,
    entry: &Value,
    source: &Source<'_>,
) -> (CriterionStatus, String, Vec<Quote>) {
    let findings = source.look_up(&Claim::list(entry.get(EVIDENCE_FIELD)));
    let unfounded = status == CriterionStatus::Met && !findings.of_agent;
    let status = if unfounded { CriterionStatus::Inconclusive } else { status };
    (status, and(&reasoning(entry), &remark(&findings, unfounded)), findings.quotes)
}

fn reasoning(entry: &Value) -> String {
    cut(entry.get(REASONING_FIELD).and_then(Value::as_str).unwrap_or_default(), MAX_REASONING_BYTES)
}

/// What is to be said of the evidence: one real quote carries a status, but nobody is left to think that all are real.
fn remark(findings: &Findings, unfounded: bool) -> Cow<'static, str> {
    let Findings { given, missing, quotes, .. } = findings;
    match (given, missing) {
        (0, _) if unfounded => NO_EVIDENCE.into(),
        _ if unfounded && !quotes.is_empty() => CUSTOMERS_EVIDENCE.into(),
        (_, 0) => "".into(),
        _ if unfounded => format!(
            "[Not taken as met: none of the {given} quotes stands in the transcript, or they say too little.]"
        )
        .into(),
        _ => {
            format!("[{missing} of {given} quotes do not stand in the transcript, or say too little.]").into()
        }
    }
}

fn and(one: &str, other: &str) -> String {
    format!("{one} {other}").trim().to_owned()
}

/// The judgement in a sentence, where the judge gave none.
pub(super) fn summarize(results: &[CriterionResult]) -> String {
    let met = results.iter().filter(|r| r.status == CriterionStatus::Met).count();
    format!("{met} of {} criteria are met.", results.len())
}

/// The status of an entry, or of a bare word; of an entry that has several, all.
fn statuses(entry: &Value) -> Vec<CriterionStatus> {
    match entry.get(STATUS_FIELD).unwrap_or(entry) {
        Value::Array(words) => words.iter().filter_map(status).collect(),
        word => status(word).into_iter().collect(),
    }
}

/// Models mix their vocabularies.
fn status(word: &Value) -> Option<CriterionStatus> {
    let word = match word {
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
mod tests;
