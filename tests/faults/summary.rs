//! What a run of the harness came to, in a line.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use super::checker::{Rule, Violation, peaks};
use super::history::{CallEnd, Event, FaultKind, History, Kind, Limits, Moment};

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
        let runs = history.accepted.len();
        let (duplicates, cancels) = (history.duplicates, history.cancels.len());
        write!(f, "{runs} runs ({duplicates} requests more than once, {cancels} cancelled) in {took:.1?}; ")?;
        for kind in KINDS {
            write!(f, "{kind:?} {}, ", history.faults.iter().filter(|fault| fault.kind == kind).count())?;
        }
        let (lost, twice) = (self.count(Rule::Lost), self.count(Rule::Duplicated));
        let repeated = self.count(Rule::Repeated);
        write!(f, "; lost {lost}, duplicated {twice}, finished calls repeated {repeated}; ")?;
        let (calls, again) = (history.calls.len(), again(history));
        let (worker, group) = peaks(history);
        let (most_w, most_g) = (limits.concurrency, limits.max_ack_pending);
        write!(f, "{calls} calls, {again} of them calls in flight made again; ")?;
        write!(f, "at most {worker} of {most_w} runs in a worker and {group} of {most_g} in the group; ")?;
        let ack_wait = limits.ack_wait;
        match resumptions(history).as_slice() {
            [] => write!(f, "no run was taken over"),
            [.., max] if !max.is_zero() => {
                let all = resumptions(history);
                let p50 = all[all.len() / 2];
                write!(
                    f,
                    "kill to resumption of {} runs: p50 {p50:.2?}, max {max:.2?}, ack_wait {ack_wait:?}",
                    all.len()
                )
            }
            _ => write!(f, "runs were taken over at once"),
        }
    }
}

/// Says a line past the test harness, which keeps what passing tests print to itself.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

const KINDS: [FaultKind; 10] = [
    FaultKind::Kill,
    FaultKind::Freeze,
    FaultKind::Terminate,
    FaultKind::BrokerKill,
    FaultKind::Cut,
    FaultKind::Partition,
    FaultKind::Blackhole,
    FaultKind::Delay,
    FaultKind::DatabaseOutage,
    FaultKind::MachineStall,
];

impl Summary<'_> {
    fn count(&self, rule: Rule) -> usize {
        self.violations.iter().filter(|violation| violation.rule == rule).count()
    }
}

/// Calls beyond the first of a step.
fn again(history: &History) -> usize {
    let mut steps: Vec<_> = history.calls.iter().map(|call| (&call.run, call.step)).collect();
    steps.sort_unstable();
    steps.dedup();
    history.calls.len() - steps.len()
}

/// How long each run waited for its next call that was on a worker when that was killed, in order of length.
pub(crate) fn resumptions(history: &History) -> Vec<Duration> {
    let kills = history.faults.iter().filter(|fault| fault.kind == FaultKind::Kill);
    let mut times: Vec<_> = kills
        .flat_map(|kill| {
            let worker = kill.worker.unwrap_or_default();
            let on_it = |run: &&str| last_worker(history, run, kill.from) == Some(worker);
            let runs = runs(history).into_iter().filter(on_it);
            runs.filter_map(|run| next_call(history, run, kill.from)).collect::<Vec<_>>()
        })
        .collect();
    times.sort_unstable();
    times
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
    let calls = history.calls.iter().filter(|call| call.run == run && call.from > at);
    calls.filter(|call| call.end != CallEnd::Open).map(|call| call.from.saturating_sub(at)).min()
}
