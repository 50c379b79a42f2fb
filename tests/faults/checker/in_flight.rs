//! Runs in flight, in one worker and over all of them.

use std::collections::BTreeMap;

use super::{NOTICE, Rule, Violation};
use crate::history::{Call, CallEnd, History, Limits, Moment};

pub(super) fn check(history: &History, limits: Limits) -> Vec<Violation> {
    let (worker, group) = peaks(history);
    let mut found = Vec::new();
    for (most, limit, whose) in
        [(worker, limits.concurrency, "one worker"), (group, limits.max_ack_pending, "the group")]
    {
        if most > limit {
            let what = format!("{most} runs were in flight in {whose}; {limit} is the limit");
            found.push(Violation { rule: Rule::InFlight, run: None, what });
        }
    }
    found
}

/// The most runs in flight at a time: in one worker, and in the group.
pub(crate) fn peaks(history: &History) -> (usize, usize) {
    let workers = history.calls.iter().map(|call| call.worker).max().map_or(0, |most| most + 1);
    let of = |worker| history.calls.iter().filter(move |call| call.worker == worker);
    let most = (0..workers).map(|worker| peak(of(worker).map(|call| span(history, call)))).max();
    (most.unwrap_or(0), peak(history.calls.iter().map(|call| span(history, call))))
}

type Span<'a> = (&'a str, Moment, Moment);

/// When the call is known to have been open. A frozen worker's runs are another's after a while, and it cannot know.
fn span<'a>(history: &History, call: &'a Call) -> Span<'a> {
    let asleep = history
        .faults
        .iter()
        .filter(|fault| fault.is_sleep() && fault.hit(call.worker) && fault.until >= call.from);
    let end = match call.end {
        CallEnd::Abandoned(noticed) => noticed.saturating_sub(NOTICE),
        _ => call.until(),
    };
    let until = asleep.map(|fault| fault.from).fold(end, Moment::min);
    (&call.run, call.from, until.max(call.from))
}

/// The most runs that are open at one moment.
fn peak<'a>(spans: impl Iterator<Item = Span<'a>>) -> usize {
    // An end sorts before a beginning of the same moment.
    let mut edges: Vec<(Moment, bool, &str)> = Vec::new();
    for (run, from, until) in spans.filter(|(_, from, until)| until > from) {
        edges.extend([(from, true, run), (until, false, run)]);
    }
    edges.sort_unstable();
    let (mut open, mut most) = (BTreeMap::<&str, usize>::new(), 0);
    for (_, begins, run) in edges {
        let calls = open.entry(run).or_default();
        *calls = if begins { *calls + 1 } else { *calls - 1 };
        most = most.max(open.values().filter(|calls| **calls > 0).count());
    }
    most
}
