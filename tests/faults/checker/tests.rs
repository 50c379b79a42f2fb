//! The checker, checked: a good history has no violation, and each bad one has the violation that was made.

mod calls;
mod endings;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::json;

use super::{Rule, check};
use crate::history::{
    Accepted, Call, CallEnd, DRAIN, Death, Event, Fault, FaultKind, History, Kind, Life, Limits, Moment,
};
use crate::script::{self, Part, Step};

const LIMITS: Limits =
    Limits { ack_wait: Duration::from_secs(3), concurrency: 1, max_ack_pending: 2, drain: DRAIN };
/// How long a call takes in a hand-made history, in milliseconds.
const CALL: u64 = 400;
/// What lies between a call and the next, in milliseconds.
const PAUSE: u64 = 100;

fn at(milliseconds: u64) -> Moment {
    Moment::from_millis(milliseconds)
}

/// One run of two turns without any trouble: its calls begin at 1000, 1500, 2000, and so on.
fn good() -> History {
    let mut history = History::default();
    add_run(&mut history, "run-1", 0, 1_000);
    history
}

fn add_run(history: &mut History, run: &str, worker: usize, from: u64) {
    let (run, mut time, mut index) = (run.to_owned(), from, 0);
    history.accepted.push(Accepted { run: run.clone(), at: at(from - PAUSE) });
    history.events.push(event(&run, Kind::Started, from - 1, json!({})));
    for step in script::steps_of(&run) {
        let end = CallEnd::Answered(at(time + CALL));
        let (from, read, key) = (at(time), Some(at(time + CALL)), key(&run, step));
        history.calls.push(Call { run: run.clone(), step, worker, from, end, read, key });
        if matches!(step.part, Part::Customer | Part::Agent) && !script::is_refused(&run, step) {
            history.events.push(event(&run, Kind::Message, time + CALL + 1, message(&run, index)));
            index += 1;
        }
        time += CALL + PAUSE;
    }
    let messages: Vec<_> = (0..index).map(|index| message(&run, index)).collect();
    let mut outcome = json!({ "status": "SUCCESS", "attempts": 1, "messages": messages });
    if script::ends_refused(&run) {
        (outcome["status"], outcome["error"]) = (json!("ERROR"), json!({ "code": "http_status" }));
    }
    let state = json!({ "phase": "finished", "status": outcome["status"], "attempts": 1 });
    history.states.insert(run.clone(), state);
    history.events.push(event(&run, Kind::Completed, time, outcome));
}

fn message(run: &str, index: usize) -> serde_json::Value {
    let role = if index.is_multiple_of(2) { "user" } else { "assistant" };
    json!({ "index": index, "turn": index / 2 + 1, "role": role, "content": script::transcript_of(run)[index] })
}

fn event(run: &str, kind: Kind, time: u64, payload: serde_json::Value) -> Event {
    Event { run: run.to_owned(), kind, at: at(time), payload }
}

fn call(turn: u32, part: Part, worker: usize, from: u64, until: u64) -> Call {
    let end = CallEnd::Answered(at(until));
    let (run, step) = ("run-1".to_owned(), Step { turn, part });
    let key = key(&run, step);
    Call { run, step, worker, from: at(from), end, read: None, key }
}

/// Agents are told which call it is.
fn key(run: &str, step: Step) -> Option<String> {
    (step.part == Part::Agent).then(|| format!("{run}:{}", step.turn))
}

fn fault(kind: FaultKind, worker: usize, from: u64, until: u64) -> Fault {
    Fault { kind, worker: Some(worker), from: at(from), until: at(until), unheard_since: None }
}

fn broken(history: &History) -> Vec<Rule> {
    let mut rules: Vec<_> = check(history, LIMITS).into_iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The outcome of the history's last run.
fn outcome(history: &mut History) -> &mut Event {
    history.events.last_mut().unwrap()
}

/// Makes the outcome, and with it the state, of the history's only run another one.
fn end_as(history: &mut History, status: &str, code: Option<&str>) {
    let outcome = outcome(history);
    (outcome.payload["status"], outcome.payload["error"]["code"]) = (json!(status), json!(code));
    let state = json!({ "phase": "finished", "status": status, "attempts": outcome.payload["attempts"] });
    *history.states.values_mut().next().unwrap() = state;
}

/// Good histories of one run: one that the agent ends, and one of an agent that must not be asked twice.
fn refused() -> History {
    let mut history = History::default();
    add_run(&mut history, "run-28", 0, 1_000);
    history
}

fn careful() -> History {
    let mut history = History::default();
    add_run(&mut history, "run-12", 0, 1_000);
    history
}

#[test]
fn a_good_history_breaks_nothing() {
    for history in [good(), refused(), careful()] {
        assert_eq!(check(&history, LIMITS), []);
    }
}

#[test]
fn a_missing_and_a_repeated_message_are_found() {
    let mut history = good();
    history.events.remove(2);
    assert!(broken(&history).contains(&Rule::Messages));
    let mut history = good();
    let again = history.events[2].clone();
    history.events.insert(3, again);
    assert!(broken(&history).contains(&Rule::Messages));
}

#[test]
fn a_second_beginning_is_found() {
    let mut history = good();
    let again = history.events[0].clone();
    history.events.insert(1, again);
    assert_eq!(broken(&history), [Rule::Began]);
    let mut history = good();
    history.events[0].payload["startedAt"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(broken(&history), [Rule::Began], "the outcome says another time");
    let mut history = good();
    history.events[2].payload["traceId"] = json!("of another trace");
    assert_eq!(broken(&history), [Rule::Began]);
}

#[test]
fn a_transcript_that_does_not_follow_from_itself_is_found() {
    let mut history = good();
    history.events[2].payload["content"] = json!("something else");
    outcome(&mut history).payload["messages"][1]["content"] = json!("something else");
    assert_eq!(broken(&history), [Rule::Transcript]);
}

#[test]
fn a_call_that_was_not_understood_is_found() {
    assert_eq!(broken(&History { misunderstood: 1, ..good() }), [Rule::Misunderstood]);
}

#[test]
fn a_worker_that_nobody_told_to_end_is_found() {
    let (aborted, failed) = (ExitStatus::from_raw(6), ExitStatus::from_raw(3 << 8));
    let broken_by = |death, faults| {
        let life = Life { worker: 0, from: at(4_000), end: Some((at(9_000), death)) };
        broken(&History { lives: vec![life], faults, ..good() })
    };
    let outage = fault(FaultKind::DatabaseOutage, 0, 3_900, 5_000);
    assert_eq!(broken_by(Death::Told, vec![]), []);
    assert_eq!(broken_by(Death::Own(aborted), vec![outage]), [Rule::WorkerDied]);
    assert_eq!(broken_by(Death::Stillborn(failed), vec![]), [Rule::WorkerDied]);
    assert_eq!(broken_by(Death::Stillborn(failed), vec![outage]), []);
}
