//! What is stored of a run agrees with its outcome.

use serde_json::Value;

use super::{Rule, Run, Violation};
use crate::history::Kind;

/// How a run's state says that it is over.
const FINISHED: &str = "finished";

pub(super) fn check(run: &Run<'_>) -> Option<Violation> {
    let completed = run.events_of(Kind::Completed).next()?;
    let outcome = &completed.payload;
    let Some(state) = run.history.states.get(run.id) else {
        return Some(run.violation(Rule::State, "it has an outcome and no stored state"));
    };
    if (&state["phase"], &state["status"]) != (&Value::from(FINISHED), &outcome["status"]) {
        let (phase, status, said) = (&state["phase"], &state["status"], &outcome["status"]);
        let what =
            format!("its outcome is {said}, and its stored state says {phase} with the status {status}");
        return Some(run.violation(Rule::State, what));
    }
    // Each claim is an attempt more, so this is how a worker that lost its claim is known.
    let (last, said) = (&state["attempts"], &outcome["attempts"]);
    let what = || format!("its outcome is that of attempt {said}, and the last one is attempt {last}");
    let forgotten =
        || last.as_u64() == said.as_u64().map(|said| said + 1) && run.lease_was_forgotten(completed.at);
    (last != said && !forgotten()).then(|| run.violation(Rule::Fence, what()))
}
