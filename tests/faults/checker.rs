//! Reads a history and says which promises it breaks.

mod calls;
mod deaths;
mod excuses;
mod in_flight;
mod keys;
mod messages;
mod outcomes;
mod states;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub(crate) use excuses::STORED;
pub(crate) use in_flight::peaks;

use super::history::{Accepted, Call, Event, History, Kind, Limits};

/// Time for a double to notice that a caller is gone.
pub(crate) const NOTICE: Duration = Duration::from_millis(250);

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// Every accepted request has an outcome.
    Lost,
    /// It has one only.
    Duplicated,
    /// The outcome is the script's; only a run that somebody cancelled is cancelled, and soon.
    Outcome,
    /// Nothing happens to a run that is over.
    Final,
    /// The attempts in the outcome have a cause each.
    Attempts,
    /// A finished call is not made again, and a call in flight once for each fault of its worker at most. An agent that must not
    /// be asked twice is not.
    Repeated,
    /// Two calls of a run at a time are of a worker that was asleep and its successor, and soon only one.
    Overlap,
    /// A call of an agent carries the key of its step.
    Key,
    /// Runs in flight are within the limits.
    InFlight,
    /// A run begins once, and is one trace.
    Began,
    /// What is stored of a run that is over agrees with its outcome.
    State,
    /// The outcome is that of the last worker which had the run.
    Fence,
    /// Messages are gapless, each is there once, and the outcome repeats them.
    Messages,
    /// The transcript is that of a run which nothing disturbed.
    Transcript,
    /// No worker ends that nobody told to.
    WorkerDied,
    /// Every call can be understood.
    Misunderstood,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// Whose promise it was, if it was one run's.
    pub(crate) run: Option<String>,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What concerns one run.
struct Run<'a> {
    id: &'a str,
    history: &'a History,
    limits: Limits,
    /// By when they began.
    calls: Vec<&'a Call>,
    /// By when they were stored.
    events: Vec<&'a Event>,
}

impl<'a> Run<'a> {
    fn of(id: &'a str, history: &'a History, limits: Limits) -> Self {
        let mut calls: Vec<_> = history.calls.iter().filter(|call| call.run == id).collect();
        calls.sort_by_key(|call| call.from);
        let events = history.events.iter().filter(|event| event.run == id).collect();
        Self { id, history, limits, calls, events }
    }

    fn events_of(&self, kind: Kind) -> impl Iterator<Item = &'a Event> {
        self.events.iter().copied().filter(move |event| event.kind == kind)
    }

    fn accepted(&self) -> Option<&'a Accepted> {
        self.history.accepted.iter().find(|request| request.run == self.id)
    }

    fn cancel(&self) -> Option<&'a Accepted> {
        self.history.cancels.iter().find(|cancel| cancel.run == self.id)
    }

    fn violation(&self, rule: Rule, what: impl fmt::Display) -> Violation {
        Violation { rule, run: Some(self.id.to_owned()), what: format!("{}: {what}", self.id) }
    }
}

/// Every broken promise of a history.
pub(crate) fn check(history: &History, limits: Limits) -> Vec<Violation> {
    let mut found = in_flight::check(history, limits);
    found.extend((history.misunderstood > 0).then(|| Violation {
        rule: Rule::Misunderstood,
        run: None,
        what: format!("{} calls were not understood", history.misunderstood),
    }));
    found.extend(deaths::check(history, limits));
    found.extend(keys::check(history));
    for id in runs(history) {
        let run = Run::of(id, history, limits);
        found.extend(outcomes::check(&run));
        found.extend(calls::check(&run));
        found.extend(messages::check(&run));
        found.extend(states::check(&run));
    }
    found
}

/// Broken promises, one a line.
pub(crate) fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Every run that anything is known of.
fn runs(history: &History) -> Vec<&str> {
    let accepted = history.accepted.iter().map(|request| request.run.as_str());
    let reported = history.events.iter().map(|event| event.run.as_str());
    let called = history.calls.iter().map(|call| call.run.as_str());
    let mut runs: Vec<_> = accepted.chain(reported).chain(called).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}
