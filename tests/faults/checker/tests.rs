//! The checker, checked: a good history has no violation, and each bad one has the violation that was made.

use std::time::Duration;

use serde_json::json;

use super::{Rule, check};
use crate::history::{
    Accepted, Call, CallEnd, Death, Event, Fault, FaultKind, History, Kind, Life, Limits, Moment,
};
use crate::script::{self, Part, Step};

const LIMITS: Limits = Limits { ack_wait: Duration::from_secs(3), concurrency: 1, max_ack_pending: 2 };
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
        history.calls.push(Call { run: run.clone(), step, worker, from: at(time), end });
        if matches!(step.part, Part::Customer | Part::Agent) {
            history.events.push(event(&run, Kind::Message, time + CALL + 1, message(&run, index)));
            index += 1;
        }
        time += CALL + PAUSE;
    }
    let messages: Vec<_> = (0..index).map(|index| message(&run, index)).collect();
    let outcome = json!({ "status": "SUCCESS", "attempts": 1, "messages": messages });
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
    Call { run: "run-1".to_owned(), step: Step { turn, part }, worker, from: at(from), end }
}

fn fault(kind: FaultKind, worker: usize, from: u64, until: u64) -> Fault {
    Fault { kind, worker: Some(worker), from: at(from), until: at(until) }
}

fn broken(history: &History) -> Vec<Rule> {
    let mut rules: Vec<_> = check(history, LIMITS).into_iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The good history's outcome.
fn outcome(history: &mut History) -> &mut Event {
    history.events.last_mut().unwrap()
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(check(&good(), LIMITS), []);
}

#[test]
fn a_lost_run_is_found() {
    let mut history = good();
    history.events.pop();
    assert_eq!(broken(&history), [Rule::Lost]);
}

#[test]
fn a_request_of_which_nothing_was_heard_is_lost() {
    let mut history = good();
    history.accepted.push(Accepted { run: "run-2".to_owned(), at: at(1) });
    assert_eq!(broken(&history), [Rule::Lost]);
}

#[test]
fn a_second_outcome_is_found() {
    let mut history = good();
    let again = outcome(&mut history).clone();
    history.events.push(again);
    assert_eq!(broken(&history), [Rule::Duplicated]);
}

#[test]
fn a_wrong_outcome_is_found() {
    for status in ["ERROR", "FAILED", "CANCELLED"] {
        let mut history = good();
        outcome(&mut history).payload["status"] = json!(status);
        assert_eq!(broken(&history), [Rule::Outcome], "{status}");
    }
}

#[test]
fn a_cancel_request_that_nobody_heard_is_found() {
    let mut history = good();
    history.cancels.push(Accepted { run: "run-1".to_owned(), at: at(1_000) });
    assert_eq!(broken(&history), [], "it lost the race");
    outcome(&mut history).at = at(100_000);
    assert_eq!(broken(&history), [Rule::Outcome]);
}

#[test]
fn a_cancelled_run_may_end_early() {
    let mut history = good();
    history.cancels.push(Accepted { run: "run-1".to_owned(), at: at(1_000) });
    history.calls.truncate(2);
    history.events.truncate(2);
    let said = json!({ "status": "CANCELLED", "attempts": 1, "messages": [message("run-1", 0)] });
    history.events.push(event("run-1", Kind::Completed, 1_600, said));
    assert_eq!(broken(&history), []);
}

#[test]
fn a_call_after_the_outcome_is_found() {
    let mut history = good();
    outcome(&mut history).at = at(3_600);
    assert_eq!(broken(&history), [Rule::Final]);
}

#[test]
fn an_event_after_the_outcome_is_found() {
    let mut history = good();
    let outcome = history.events.pop().unwrap();
    history.events.insert(4, outcome);
    assert_eq!(broken(&history), [Rule::Final]);
}

#[test]
fn attempts_without_a_cause_are_found() {
    let mut history = good();
    outcome(&mut history).payload["attempts"] = json!(2);
    assert_eq!(broken(&history), [Rule::Attempts]);
    history.faults.push(fault(FaultKind::Kill, 0, 1_200, 1_200));
    assert_eq!(broken(&history), []);
    outcome(&mut history).payload["attempts"] = json!(0);
    assert_eq!(broken(&history), [Rule::Attempts]);
}

#[test]
fn a_finished_call_that_is_made_again_is_found_whatever_happened() {
    let mut history = good();
    history.faults.push(fault(FaultKind::Kill, 0, 1_650, 1_650));
    history.calls.push(call(1, Part::Customer, 1, 1_910, 1_950));
    assert_eq!(broken(&history), [Rule::Repeated], "the agent had been asked, and the message was there");
    history.events.retain(|event| event.kind != Kind::Message);
    assert!(broken(&history).contains(&Rule::Repeated), "the agent had been asked");
}

#[test]
fn a_decision_that_is_asked_for_again_after_the_verdict_is_found() {
    let mut history = good();
    history.faults.push(fault(FaultKind::Kill, 0, 4_300, 4_300));
    history.calls.push(call(2, Part::Decide, 1, 4_410, 4_450));
    assert_eq!(broken(&history), [Rule::Repeated]);
}

#[test]
fn a_call_in_flight_is_made_again_once_for_each_fault_of_its_worker() {
    let mut history = good();
    history.calls[0].end = CallEnd::Abandoned(at(500));
    history.calls[0].from = at(400);
    history.calls.push(call(1, Part::Customer, 1, 1_000, 1_400));
    assert_eq!(broken(&history), [Rule::Repeated], "nothing happened");
    for kind in [FaultKind::Cut, FaultKind::Delay, FaultKind::DatabaseOutage] {
        history.faults = vec![fault(kind, 0, 450, 450)];
        assert_eq!(broken(&history), [Rule::Repeated], "{kind:?} takes no run from its worker");
    }
    history.faults = vec![fault(FaultKind::Kill, 1, 450, 450)];
    assert_eq!(broken(&history), [Rule::Repeated], "another worker was killed");
    history.faults = vec![fault(FaultKind::Kill, 0, 450, 450)];
    assert_eq!(broken(&history), []);
    history.faults[0].kind = FaultKind::Partition;
    history.calls.push(call(1, Part::Customer, 0, 600, 620));
    assert_eq!(broken(&history), [Rule::Repeated], "one fault explains one repetition");
    history.faults.push(fault(FaultKind::Partition, 0, 700, 700));
    assert_eq!(broken(&history), []);
}

#[test]
fn a_call_of_a_worker_that_slept_is_excused_for_the_time_of_a_lease() {
    let mut history = good();
    history.calls.push(call(1, Part::Agent, 1, 2_910, 2_950));
    assert_eq!(broken(&history), [Rule::Repeated]);
    history.faults.push(fault(FaultKind::Freeze, 1, 1_000, 2_900));
    assert_eq!(broken(&history), []);
    history.faults[0] = fault(FaultKind::Freeze, 0, 1_000, 2_900);
    assert_eq!(broken(&history), [Rule::Repeated], "another worker slept");
}

#[test]
fn two_workers_at_one_run_are_found() {
    let mut history = good();
    // Worker 1 makes the call in flight again while worker 0 is still at it.
    history.calls.insert(0, call(1, Part::Customer, 1, 900, 1_395));
    history.faults.push(fault(FaultKind::Partition, 1, 950, 960));
    assert_eq!(broken(&history), [Rule::Overlap], "a worker that is cut off stops in time");
    history.faults[0].kind = FaultKind::Freeze;
    assert_eq!(broken(&history), [], "a frozen worker cannot stop");
}

#[test]
fn too_many_runs_in_flight_are_found() {
    let mut history = good();
    add_run(&mut history, "run-5", 1, 1_020);
    assert_eq!(broken(&history), []);
    add_run(&mut history, "run-9", 2, 1_040);
    assert_eq!(broken(&history), [Rule::InFlight], "three in the group");
    let mut history = good();
    add_run(&mut history, "run-5", 0, 1_020);
    assert_eq!(broken(&history), [Rule::InFlight], "two in one worker");
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
    assert_eq!(broken(&history), [Rule::Messages]);
}

#[test]
fn an_outcome_that_repeats_other_messages_is_found() {
    let mut history = good();
    outcome(&mut history).payload["messages"].as_array_mut().unwrap().pop();
    assert_eq!(broken(&history), [Rule::Messages]);
}

#[test]
fn a_transcript_that_does_not_follow_from_itself_is_found() {
    let mut history = good();
    history.events[2].payload["content"] = json!("something else");
    outcome(&mut history).payload["messages"][1]["content"] = json!("something else");
    assert_eq!(broken(&history), [Rule::Transcript]);
}

#[test]
fn a_worker_that_ended_by_itself_is_found() {
    let mut history = good();
    for (death, expected) in
        [(Death::Told, vec![]), (Death::Stillborn, vec![]), (Death::Own, vec![Rule::WorkerDied])]
    {
        history.lives = vec![Life { worker: 0, end: Some((at(9), death)) }];
        assert_eq!(broken(&history), expected);
    }
}
