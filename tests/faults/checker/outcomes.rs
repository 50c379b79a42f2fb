//! One outcome for every accepted request, the right one, and nothing after it.

use std::time::Duration;

use serde_json::Value;

use super::{NOTICE, Rule, Run, Violation};
use crate::history::{Event, FaultKind, Kind};

/// A cancel request reaches its run in this time, whatever happens.
const CANCEL_PATIENCE: Duration = Duration::from_secs(45);
/// The pause between two attempts of a run that finds the database away, in seconds.
const DATABASE_PAUSE: u64 = 5;

pub(super) fn check(run: &Run<'_>) -> Vec<Violation> {
    let outcomes: Vec<&Event> = run.events_of(Kind::Completed).collect();
    let mut found = Vec::new();
    if run.accepted().is_none() {
        found.push(run.violation(Rule::Outcome, "nobody asked for it"));
    }
    match outcomes.as_slice() {
        [] => found.push(run.violation(Rule::Lost, "it has no outcome")),
        [outcome] => found.extend(check_outcome(run, outcome)),
        several => found.push(run.violation(Rule::Duplicated, format!("{} outcomes", several.len()))),
    }
    found
}

fn check_outcome(run: &Run<'_>, outcome: &Event) -> Vec<Violation> {
    let checks = [status(run, outcome), attempts(run, outcome), finality(run, outcome)];
    checks.into_iter().flatten().collect()
}

fn status(run: &Run<'_>, outcome: &Event) -> Option<Violation> {
    let wrong = |what: &str| Some(run.violation(Rule::Outcome, format!("{what}: {}", outcome.payload)));
    match (outcome.payload["status"].as_str(), run.cancel()) {
        (Some("SUCCESS"), None) | (Some("CANCELLED"), Some(_)) => None,
        (Some("SUCCESS"), Some(cancel)) if outcome.at <= cancel.at + CANCEL_PATIENCE => None,
        (Some("SUCCESS"), Some(_)) => wrong("its cancel request was not heard"),
        (Some("CANCELLED"), None) => wrong("nobody cancelled it"),
        _ => wrong("it did not come to its end"),
    }
}

/// Each attempt but the first has a fault that explains it.
fn attempts(run: &Run<'_>, outcome: &Event) -> Option<Violation> {
    let from = run.accepted()?.at;
    let attempts = outcome.payload["attempts"].as_u64().unwrap_or(0);
    let during = run.history.faults.iter().filter(|f| f.touches(from, outcome.at, run.limits.ack_wait));
    let causes: u64 = during
        .map(|fault| match fault.kind {
            FaultKind::DatabaseOutage => {
                1 + fault.until.saturating_sub(fault.from).as_secs() / DATABASE_PAUSE
            }
            FaultKind::Cut | FaultKind::Delay => 0,
            _ => 1,
        })
        .sum();
    let fits = (1..=1 + causes).contains(&attempts);
    (!fits)
        .then(|| run.violation(Rule::Attempts, format!("{attempts} attempts, and {causes} causes for more")))
}

fn finality(run: &Run<'_>, outcome: &Event) -> Option<Violation> {
    let late_call =
        run.calls.iter().find(|call| call.from > outcome.at + NOTICE && !run.is_of_a_sleeper(call));
    let late_event = run.events.iter().skip_while(|event| event.kind != Kind::Completed).nth(1);
    let what = match (late_call, late_event) {
        (Some(call), _) => format!("{} was called for after the outcome", call.step),
        (None, Some(event)) => format!("an event followed the outcome: {}", short(&event.payload)),
        (None, None) => return None,
    };
    Some(run.violation(Rule::Final, what))
}

fn short(payload: &Value) -> String {
    payload.to_string().chars().take(200).collect()
}
