//! No finished call is made again, and no two workers are at a run at the same time.

use std::time::Duration;

use super::{NOTICE, Rule, Run, Violation};
use crate::history::{Call, Fault, FaultKind, Kind};
use crate::script::Step;

pub(super) fn check(run: &Run<'_>) -> Vec<Violation> {
    let mut found = overlaps(run);
    let mut spent = Vec::new();
    for (number, call) in run.calls.iter().enumerate() {
        let before = &run.calls[..number];
        if let Some(proof) = finished_before(run, before, call) {
            if !run.is_of_a_sleeper(call) {
                let what = format!("{} was called for again although {proof}", call.step);
                found.push(run.violation(Rule::Repeated, what));
            }
        } else if let Some(last) = before.iter().rev().find(|before| before.step == call.step) {
            match excuse(run, last, call, &spent) {
                Some(fault) => spent.push(fault),
                None => found.push(unexcused(run, last, call)),
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

/// The fault that explains why the call was made again, one for each time.
fn excuse(run: &Run<'_>, last: &Call, call: &Call, spent: &[usize]) -> Option<usize> {
    let explains = |fault: &Fault| {
        let reach = reach(fault.kind, run.limits.ack_wait);
        reach.is_some_and(|reach| fault.hit(last.worker) && fault.touches(last.from, call.from, reach))
    };
    let mut faults = run.history.faults.iter().enumerate();
    let found = faults.find(|(number, fault)| !spent.contains(number) && explains(fault));
    found.map(|(number, _)| number)
}

/// How long after its end a fault may still cost a worker its run; `None` if it never may.
fn reach(kind: FaultKind, ack_wait: Duration) -> Option<Duration> {
    match kind {
        // A double may hear a call only after its caller is dead.
        FaultKind::Kill | FaultKind::Terminate => Some(NOTICE),
        FaultKind::Freeze
        | FaultKind::BrokerKill
        | FaultKind::Partition
        | FaultKind::Blackhole
        | FaultKind::MachineStall => Some(ack_wait),
        FaultKind::Cut | FaultKind::Delay | FaultKind::DatabaseOutage => None,
    }
}

fn unexcused(run: &Run<'_>, last: &Call, call: &Call) -> Violation {
    let (step, first, again) = (call.step, last.worker, call.worker);
    let gap = call.from.saturating_sub(last.from);
    let what = format!(
        "{step} was called for by worker {first} and {gap:?} later by worker {again}, and no fault of worker {first} explains it"
    );
    run.violation(Rule::Repeated, what)
}

fn overlaps(run: &Run<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, later) in run.calls.iter().enumerate() {
        for earlier in &run.calls[..number] {
            if earlier.until() > later.from + NOTICE && !overlap_is_excused(run, earlier, later) {
                let (one, other) = (earlier.worker, later.worker);
                let what = format!(
                    "{} of worker {one} and {} of worker {other} were open at once",
                    earlier.step, later.step
                );
                found.push(run.violation(Rule::Overlap, what));
            }
        }
    }
    found
}

/// A frozen worker cannot stop, and a broker that was killed may forget how long a lease lasts.
fn overlap_is_excused(run: &Run<'_>, earlier: &Call, later: &Call) -> bool {
    run.history.faults.iter().any(|fault| {
        let excuses = match fault.kind {
            FaultKind::Freeze => fault.hit(earlier.worker) || fault.hit(later.worker),
            FaultKind::BrokerKill | FaultKind::MachineStall => true,
            _ => false,
        };
        excuses && fault.touches(later.from, later.from, run.limits.ack_wait)
    })
}
