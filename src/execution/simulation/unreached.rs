//! What a script would still have asked for when the run ended: it was not shown, so it must not vanish.

use crate::definitions::ScriptStep;
use crate::events::{CriterionResult, CriterionStatus, DecidedBy};
use crate::execution::types::Criterion;

const NOT_REACHED: &str = "The run ended before the script came to this step.";

/// What the steps from `from` on would have found, each as undecided.
pub(super) fn unreached(script: &[ScriptStep], from: usize) -> Vec<CriterionResult> {
    let rest = script.iter().enumerate().skip(from);
    rest.flat_map(|(index, step)| asked_by(index, step)).collect()
}

/// Whether a step behind the one at `present` asks for something.
pub(super) fn asks_for_more(script: &[ScriptStep], present: usize) -> bool {
    !unreached(script, present + 1).is_empty()
}

fn asked_by(index: usize, step: &ScriptStep) -> Vec<CriterionResult> {
    let undecided =
        |id: &str, text: &str| CriterionResult::new(id, text, CriterionStatus::Inconclusive, NOT_REACHED);
    match step {
        ScriptStep::Check(check) => {
            let result = undecided(&Criterion::id_of_step(index), &check.title());
            vec![CriterionResult { decided_by: DecidedBy::Check, ..result }]
        }
        ScriptStep::Judge(judge) => {
            let criteria = Criterion::of_step(index, &judge.criteria);
            criteria.iter().map(|criterion| undecided(&criterion.id, &criterion.text)).collect()
        }
        _ => Vec::new(),
    }
}
