//! What a judge is asked for and what it answers: its two tools with their fields, and the answers that a run keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AnswerForm, Criterion, Judgement, ToolSpec};

/// The tool that says whether to go on: `{"reasoning", "decision"}`.
pub const DECIDE_TOOL: &str = "decide_next_step";

/// The tool that decides the criteria: `{"criteria": {"c1": {"requirement", "evidence": [{"message", "quote"}],
/// "reasoning", "status"}, …}, "reasoning"}`.
pub const VERDICT_TOOL: &str = "give_verdict";

/// Why, in a sentence or a few; in both tools, and for each criterion.
pub const REASONING_FIELD: &str = "reasoning";

/// What [`DECIDE_TOOL`] decides: [`DECISION_CONTINUE`] or [`DECISION_VERDICT`].
pub const DECISION_FIELD: &str = "decision";

/// The conversation goes on.
pub const DECISION_CONTINUE: &str = "continue";

/// The criteria can be decided.
pub const DECISION_VERDICT: &str = "verdict";

/// The criteria of [`VERDICT_TOOL`] by their ids `c1`, `c2`, ….
pub const CRITERIA_FIELD: &str = "criteria";

/// A criterion in the judge's own words.
pub const REQUIREMENT_FIELD: &str = "requirement";

/// What a criterion's status rests on: a list of [`MESSAGE_FIELD`] and [`QUOTE_FIELD`].
pub const EVIDENCE_FIELD: &str = "evidence";

/// The index of the message that is quoted, from 0.
pub const MESSAGE_FIELD: &str = "message";

/// Words of that message.
pub const QUOTE_FIELD: &str = "quote";

/// What a criterion comes to: `met`, `unmet` or `inconclusive`.
pub const STATUS_FIELD: &str = "status";

/// How a model is brought to an answer that can be read. The order is that of trying: each form asks less of a model and
/// its server than the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// [`AnswerForm::Tool`].
    #[default]
    Tool,
    /// [`AnswerForm::Schema`].
    Schema,
    /// [`AnswerForm::Json`].
    Json,
}

impl FormKind {
    /// All of them, in the order of trying.
    pub const ALL: [Self; 3] = [Self::Tool, Self::Schema, Self::Json];

    /// This form for the answer that `spec` describes.
    #[must_use]
    pub fn of(self, spec: ToolSpec) -> AnswerForm {
        match self {
            Self::Tool => AnswerForm::Tool(spec),
            Self::Schema => AnswerForm::Schema(spec),
            Self::Json => AnswerForm::Json(spec),
        }
    }
}

/// What judges are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whether the conversation goes on.
    NextStep,
    /// What every criterion comes to.
    Verdict,
}

/// What a judge answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeAnswer {
    /// The conversation should go on, and why.
    GoOn(String),
    /// The criteria can be decided.
    Enough,
    /// Every criterion.
    Verdict(Judgement),
}

/// The answer of one judge of a panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// Which judge, by its position in the panel, from 0. A model may sit there twice.
    pub seat: usize,
    /// Its answer.
    pub answer: JudgeAnswer,
}

/// What a panel was asked and who has answered: kept until the round is over, so that nobody is asked twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballots {
    /// What the panel was asked.
    pub question: Question,
    /// How many messages there were.
    pub messages: usize,
    /// The ids of the criteria that it was asked about.
    pub criteria: Vec<String>,
    /// The forms in which models were asked first when the round began, by the model's name. What a judge of the round
    /// teaches about its model is for the next one: whether others know it already is chance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forms: BTreeMap<String, FormKind>,
    /// The answers, in the order in which they came.
    pub cast: Vec<Ballot>,
}

impl Ballots {
    /// A round in which nobody has answered.
    #[must_use]
    pub fn open(question: Question, messages: usize, criteria: &[Criterion]) -> Self {
        let criteria = criteria.iter().map(|criterion| criterion.id.clone()).collect();
        Self { question, messages, criteria, forms: BTreeMap::new(), cast: Vec::new() }
    }

    /// Whether `other` is about the same.
    #[must_use]
    pub fn is_round_of(&self, other: &Self) -> bool {
        (self.question, self.messages, &self.criteria) == (other.question, other.messages, &other.criteria)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_known_by_what_was_asked_and_not_by_who_has_answered() {
        let criteria = Criterion::number(&["polite".to_owned()]);
        let round = Ballots::open(Question::Verdict, 2, &criteria);
        let cast = vec![Ballot { seat: 0, answer: JudgeAnswer::Enough }];
        assert!(round.is_round_of(&Ballots { cast, ..round.clone() }));
        assert!(!round.is_round_of(&Ballots::open(Question::NextStep, 2, &criteria)));
        assert!(!round.is_round_of(&Ballots::open(Question::Verdict, 4, &criteria)));
        assert!(!round.is_round_of(&Ballots::open(
            Question::Verdict,
            2,
            &Criterion::of_step(0, &["polite".into()])
        )));
    }
}
