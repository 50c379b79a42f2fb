//! What a run of the harness came to, in a line.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use super::checker::{NOTICE, Rule, Violation, peaks};
use super::history::{Event, Fault, FaultKind, History, Kind, Limits, Moment};

/// Numbers of one run of the harness.
pub(crate) struct Summary<'a> {
    pub(crate) history: &'a History,
    pub(crate) limits: Limits,
    pub(crate) violations: &'a [Violation],
    pub(crate) took: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history, limits, took, .. } = self;
        let (runs, again, cancels) = (history.accepted.len(), history.duplicates, history.cancels.len());
        write!(f, "{runs} runs ({again} requests more than once, {cancels} cancelled) in {took:.1?}; ")?;
        write!(f, "{}; ", faults(history))?;
        let (lost, twice) = (self.count(Rule::Lost), self.count(Rule::Duplicated));
        let repeated = self.count(Rule::Repeated);
        write!(f, "lost {lost}, duplicated {twice}, finished calls repeated {repeated}; ")?;
        write!(f, "endings {}, pieces of large transcripts {}; ", endings(history), history.pieces)?;
        let (calls, again) = (history.calls.len(), made_again(history));
        write!(f, "{calls} calls, {again} of them in flight when a worker was lost and made again; ")?;
        let ((worker, group), Limits { concurrency, max_ack_pending, ack_wait, .. }) =
            (peaks(history), limits);
        write!(
            f,
            "in flight at most {worker} of {concurrency} in a worker and {group} of {max_ack_pending}; "
        )?;
        write!(f, "from a kill to the next call {}, ack_wait {ack_wait:?}", waits(&[history]))
    }
}

/// How many faults of which kind.
fn faults(history: &History) -> String {
    let mut counts = BTreeMap::<FaultKind, usize>::new();
    for fault in &history.faults {
        *counts.entry(fault.kind).or_default() += 1;
    }
    counts.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect::<Vec<_>>().join(", ")
}

/// How many runs ended how.
fn endings(history: &History) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for outcome in history.events.iter().filter(|event| event.kind == Kind::Completed) {
        let (status, code) = (&outcome.payload["status"], &outcome.payload["error"]["code"]);
        let ending = [status, code].map(|word| word.as_str().unwrap_or_default()).join(" ");
        *counts.entry(ending.trim_end().to_owned()).or_default() += 1;
    }
    counts.iter().map(|(ending, count)| format!("{ending} {count}")).collect::<Vec<_>>().join(", ")
}

/// Median and maximum of the resumptions, and of those during which nothing else went wrong.
pub(crate) fn waits(histories: &[&History]) -> String {
    let mut all: Vec<_> = histories.iter().flat_map(|history| resumptions(history)).collect();
    all.sort_unstable();
    let alone: Vec<_> = all.iter().filter(|wait| wait.alone).copied().collect();
    let of = |waits: &[Resumption]| match (waits.get(waits.len() / 2), waits.last()) {
        (Some(p50), Some(max)) => format!("{} runs, p50 {:.2?}, max {:.2?}", waits.len(), p50.took, max.took),
        _ => "no runs".to_owned(),
    };
    format!("{} (without another fault meanwhile {})", of(&all), of(&alone))
}

/// Says a line past the test harness, which keeps what passing tests print to itself.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

impl Summary<'_> {
    fn count(&self, rule: Rule) -> usize {
        self.violations.iter().filter(|violation| violation.rule == rule).count()
    }
}

/// Calls beyond the first of a step.
fn made_again(history: &History) -> usize {
    let mut steps: Vec<_> = history.calls.iter().map(|call| (&call.run, call.step)).collect();
    steps.sort_unstable();
    steps.dedup();
    history.calls.len() - steps.len()
}

/// How long a run waited for its next call that was on a worker when that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Resumption {
    took: Duration,
    /// No other fault fell into the wait.
    alone: bool,
}

fn resumptions(history: &History) -> impl Iterator<Item = Resumption> + '_ {
    let kills = history.faults.iter().filter(|fault| fault.kind == FaultKind::Kill);
    kills.flat_map(|kill| resumptions_after(history, kill))
}

fn resumptions_after(history: &History, kill: &Fault) -> Vec<Resumption> {
    let on_it = |run: &&str| last_worker(history, run, kill.from) == kill.worker;
    let waits = runs(history).into_iter().filter(on_it).filter_map(|run| next_call(history, run, kill.from));
    let alone = |took: Duration| {
        let meanwhile = |fault: &&Fault| fault.touches(kill.from, kill.from + took, Duration::ZERO);
        history.faults.iter().filter(meanwhile).count() == 1
    };
    waits.map(|took| Resumption { took, alone: alone(took) }).collect()
}

fn runs(history: &History) -> Vec<&str> {
    history.accepted.iter().map(|request| request.run.as_str()).collect()
}

/// Who made the run's last call before the moment, if the run was not over by then.
fn last_worker(history: &History, run: &str, at: Moment) -> Option<usize> {
    let over = |event: &Event| event.run == run && event.kind == Kind::Completed && event.at < at;
    if history.events.iter().any(over) {
        return None;
    }
    let calls = history.calls.iter().filter(|call| call.run == run && call.from < at);
    calls.max_by_key(|call| call.from).map(|call| call.worker)
}

fn next_call(history: &History, run: &str, at: Moment) -> Option<Duration> {
    let calls = history.calls.iter().filter(|call| call.run == run && call.from > at + NOTICE);
    calls.map(|call| call.from.saturating_sub(at)).min()
}
