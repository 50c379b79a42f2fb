//! No worker ends that nobody told to, but for one that cannot begin.

use std::time::Duration;

use super::{Rule, Violation};
use crate::history::{Death, FaultKind, History, Life, Limits};

pub(super) fn check(history: &History, limits: Limits) -> Vec<Violation> {
    let unwanted = history.lives.iter().filter_map(|life| match life.end {
        Some((_, Death::Own(status))) => Some((life, "by itself", status)),
        Some((end, Death::Stillborn(status))) if !could_not_begin(history, life, end, limits) => {
            Some((life, "before it began, although nothing was in its way", status))
        }
        _ => None,
    });
    let violation = |(life, how, status): (&Life, _, _)| Violation {
        rule: Rule::WorkerDied,
        run: None,
        what: format!("worker {} ended {how}: {status}", life.worker),
    };
    unwanted.map(violation).collect()
}

/// Whether the broker, the database or the machine was away while the worker began, or had just come back.
fn could_not_begin(history: &History, life: &Life, end: Duration, limits: Limits) -> bool {
    history.faults.iter().any(|fault| {
        fault.kind != FaultKind::Kill
            && fault.hit(life.worker)
            && fault.touches(life.from, end, limits.ack_wait)
    })
}
