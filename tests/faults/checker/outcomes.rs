//! One outcome for every accepted request, the right one, and nothing after it.

use std::time::Duration;

use scenario_worker::adapters::codes::HTTP_STATUS;
use scenario_worker::execution::failure::code::TARGET_CALL_UNKNOWN;
use serde_json::Value;

use super::{NOTICE, Rule, Run, Violation};
use crate::history::{Event, FaultKind, Kind, Moment};
use crate::script::{self, Part, Step};

/// How runs end, with the codes of errors.
const SUCCESS: (&str, Option<&str>) = ("SUCCESS", None);
const REFUSED: (&str, Option<&str>) = ("ERROR", Some(HTTP_STATUS));
const UNKNOWN: (&str, Option<&str>) = ("ERROR", Some(TARGET_CALL_UNKNOWN));

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
    let said = &outcome.payload;
    let wrong = |what: &str| Some(run.violation(Rule::Outcome, format!("{what}: {}", short(said))));
    let due = if script::ends_refused(run.id) { REFUSED } else { SUCCESS };
    match (said["status"].as_str().unwrap_or_default(), run.cancel()) {
        ("CANCELLED", Some(_)) => None,
        ("CANCELLED", None) => wrong("nobody cancelled it"),
        (_, Some(cancel)) if outcome.at > cancel.at + CANCEL_PATIENCE => {
            wrong("its cancel request was not heard")
        }
        _ if ending(said) == UNKNOWN && script::is_careful(run.id) => {
            if may_be_unknown(run, outcome) {
                None
            } else {
                wrong("every answer of its agent was known")
            }
        }
        _ if ending(said) == due => None,
        _ => wrong("that is not its end"),
    }
}

/// Status and, of an error, its code.
fn ending(outcome: &Value) -> (&str, Option<&str>) {
    (outcome["status"].as_str().unwrap_or_default(), outcome["error"]["code"].as_str())
}

/// Whether it was played to the end of its script.
pub(super) fn came_to_its_end(outcome: &Value) -> bool {
    [SUCCESS, REFUSED].contains(&ending(outcome))
}

/// Whether the run may have lost the answer to what was said last: no call for it is known to have been answered, and its
/// worker was lost.
fn may_be_unknown(run: &Run<'_>, outcome: &Event) -> bool {
    let due = Step::of_message(run.events_of(Kind::Message).count());
    let began = run.calls.iter().rfind(|call| call.step < due).map_or(Moment::ZERO, |call| call.until());
    match run.calls.iter().find(|call| call.step == due) {
        Some(call) => {
            due.part == Part::Agent && run.may_have_lost(call) && run.lost_within(call.from, outcome.at)
        }
        // The intention was stored, and its worker was lost before anybody heard the call.
        None => due.part == Part::Agent && run.lost_within(began, outcome.at),
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
            _ => u64::from(fault.costs_runs(run.limits)),
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
    payload.to_string().chars().take(400).collect()
}
