//! Criteria and what the judge made of them.

use serde::{Deserialize, Serialize};

use crate::events::{CriterionResult, CriterionStatus, Verdict};

/// The most quotes that a result rests on: the outcome of a run with many criteria has to be published.
pub const MAX_QUOTES: usize = 5;
/// The longest quote, in bytes: a paragraph.
pub const MAX_QUOTE_BYTES: usize = 512;
/// How ids of steps begin; others begin otherwise.
const STEP: char = 's';

/// A criterion with the id that it is matched by: `c1`, `c2`, … in the definition's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// The id: safe as a JSON key whatever language the text is in.
    pub id: String,
    /// The criterion as the definition words it.
    pub text: String,
}

impl Criterion {
    /// Numbers the criteria of a scenario.
    #[must_use]
    pub fn number(texts: &[String]) -> Vec<Self> {
        (1..).zip(texts).map(|(n, text): (u32, _)| Self { id: format!("c{n}"), text: text.clone() }).collect()
    }
}

/// A judgement of a whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Derived from the criteria, never stated by a model.
    pub verdict: Verdict,
    /// Why, in a sentence or a few.
    pub reasoning: String,
    /// Every criterion, in the definition's order.
    pub criteria: Vec<CriterionResult>,
}

impl Criterion {
    /// Numbers the criteria of one step of a script: they are known apart from the scenario's and other steps'.
    #[must_use]
    pub fn of_step(step: usize, texts: &[String]) -> Vec<Self> {
        let id = Self::id_of_step(step);
        let of_step = |own: Self| Self { id: format!("{id}{}", own.id), text: own.text };
        Self::number(texts).into_iter().map(of_step).collect()
    }

    /// What a step of a script is known by: `s1`, `s2`, … in the definition's order.
    #[must_use]
    pub fn id_of_step(step: usize) -> String {
        format!("{STEP}{}", step + 1)
    }

    /// Whether an id is that of a step of a script, or of a criterion of one.
    #[must_use]
    pub fn is_of_step(id: &str) -> bool {
        id.starts_with(STEP)
    }
}

impl Judgement {
    /// Derives the verdict: any unmet is a failure; else any inconclusive, or no criterion at all, is inconclusive.
    #[must_use]
    pub fn derive(criteria: Vec<CriterionResult>, reasoning: String) -> Self {
        let any = |status| criteria.iter().any(|c: &CriterionResult| c.status == status);
        let verdict = if any(CriterionStatus::Unmet) {
            Verdict::Failure
        } else if criteria.is_empty() || any(CriterionStatus::Inconclusive) {
            Verdict::Inconclusive
        } else {
            Verdict::Success
        };
        Self { verdict, reasoning, criteria }
    }
}
