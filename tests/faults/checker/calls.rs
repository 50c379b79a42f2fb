//! No finished call is made again, and no two workers are at a run at the same time.

use super::{NOTICE, Rule, Run, Violation};
use crate::history::{Call, Kind};
use crate::script::{self, Part, Step};

pub(super) fn check(run: &Run<'_>) -> Vec<Violation> {
    let mut found = overlaps(run);
    let mut spent = Vec::new();
    for (number, call) in run.calls.iter().enumerate() {
        let before = &run.calls[..number];
        let last = before.iter().rev().find(|before| before.step == call.step);
        let careful = call.step.part == Part::Agent && script::is_careful(run.id);
        if let (true, Some(last)) = (careful, last) {
            found.push(unexcused(run, last, call, "the agent must not be asked twice"));
        } else if let Some(proof) = finished_before(run, before, call) {
            if !run.is_of_a_sleeper(call) {
                let what = format!("{} was called for again although {proof}", call.step);
                found.push(run.violation(Rule::Repeated, what));
            }
        } else if let Some(last) = last {
            match run.excuse(last, call, &spent) {
                Some(fault) => spent.push(fault),
                None => found.push(unexcused(run, last, call, unexplained(last))),
            }
        }
    }
    found
}

/// What shows that the call's step was finished when it was made: a later step's call, or a message.
fn finished_before(run: &Run<'_>, before: &[&Call], call: &Call) -> Option<String> {
    if let Some(later) = before.iter().find(|before| before.step > call.step) {
        return Some(format!("{} had been called for before", later.step));
    }
    let published = run.events_of(Kind::Message).filter(|event| event.at < call.from).count();
    let shown = published.checked_sub(1).map(Step::of_message)?;
    (shown >= call.step).then(|| format!("message {} had been stored before", published - 1))
}

fn unexplained(last: &Call) -> &'static str {
    match last.read {
        None => "no fault of the first worker explains it",
        Some(_) => "the first worker had read the answer and time to store it",
    }
}

fn unexcused(run: &Run<'_>, last: &Call, call: &Call, why: &str) -> Violation {
    let (step, first, again) = (call.step, last.worker, call.worker);
    let gap = call.from.saturating_sub(last.from);
    let what =
        format!("{step} was called for by worker {first} and {gap:.1?} later by worker {again}, and {why}");
    run.violation(Rule::Repeated, what)
}

fn overlaps(run: &Run<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, later) in run.calls.iter().enumerate() {
        for earlier in &run.calls[..number] {
            if earlier.until() > later.from + NOTICE && !run.overlap_is_excused(earlier, later) {
                let (one, other) = (earlier.worker, later.worker);
                let took = earlier.until().min(later.until()).saturating_sub(later.from);
                let what = format!(
                    "{} of worker {one} and {} of worker {other} were open at once for {took:.1?}",
                    earlier.step, later.step
                );
                found.push(run.violation(Rule::Overlap, what));
            }
        }
    }
    found
}
