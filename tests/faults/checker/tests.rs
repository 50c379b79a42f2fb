//! The checker, checked: a good history has no violation, and each bad one has the violation that was made.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
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
    Fault { kind, worker: Some(worker), from: at(from), until: at(until) }
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
        end_as(&mut history, status, None);
        assert_eq!(broken(&history), [Rule::Outcome], "{status}");
    }
    let mut history = refused();
    end_as(&mut history, "ERROR", Some("worker_panic"));
    assert_eq!(broken(&history), [Rule::Outcome], "another error");
    end_as(&mut history, "SUCCESS", None);
    assert!(broken(&history).contains(&Rule::Outcome), "no error");
}

#[test]
fn an_unknown_answer_needs_an_agent_that_must_not_be_asked_twice_and_a_lost_worker() {
    let mut history = careful();
    // The worker is killed while the agent is asked; the next one gives the run up.
    history.calls.truncate(2);
    history.events.remove(2);
    (history.calls[1].end, history.calls[1].read) = (CallEnd::Abandoned(at(1_650)), None);
    outcome(&mut history).payload["messages"].as_array_mut().unwrap().pop();
    outcome(&mut history).at = at(4_000);
    end_as(&mut history, "ERROR", Some("target_call_unknown"));
    assert_eq!(broken(&history), [Rule::Outcome], "nobody was lost");
    history.faults = vec![fault(FaultKind::Kill, 0, 1_650, 1_650)];
    assert_eq!(broken(&history), []);
    (history.calls[1].end, history.calls[1].read) = (CallEnd::Answered(at(1_600)), Some(at(1_601)));
    assert_eq!(broken(&history), [], "the kill came before the answer could be stored");
    history.faults = vec![fault(FaultKind::Kill, 0, 3_000, 3_000)];
    assert_eq!(broken(&history), [Rule::Outcome], "the answer was read long before");
    let mut history = good();
    end_as(&mut history, "ERROR", Some("target_call_unknown"));
    history.faults = vec![fault(FaultKind::Kill, 0, 1_650, 1_650)];
    assert!(broken(&history).contains(&Rule::Outcome), "this agent may be asked again");
}

#[test]
fn an_agent_that_must_not_be_asked_twice_and_was_is_found_whatever_happened() {
    let mut history = careful();
    let again =
        Call { from: at(1_450), end: CallEnd::Abandoned(at(1_460)), read: None, ..history.calls[1].clone() };
    history.calls.insert(1, again);
    history.faults = vec![fault(FaultKind::Kill, 0, 1_460, 1_460)];
    assert_eq!(broken(&history), [Rule::Repeated]);
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
    end_as(&mut history, "CANCELLED", None);
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
    let mut attempts = |attempts: u32, faults| {
        outcome(&mut history).payload["attempts"] = json!(attempts);
        end_as(&mut history, "SUCCESS", None);
        history.faults = faults;
        broken(&history)
    };
    assert_eq!(attempts(2, vec![]), [Rule::Attempts]);
    assert_eq!(attempts(2, vec![fault(FaultKind::Cut, 0, 1_200, 1_200)]), [Rule::Attempts]);
    assert_eq!(attempts(2, vec![fault(FaultKind::Kill, 0, 1_200, 1_200)]), []);
    assert_eq!(attempts(0, vec![]), [Rule::Attempts]);
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
    (history.calls[0].end, history.calls[0].read) = (CallEnd::Abandoned(at(500)), None);
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

/// A call that was answered and read at 2100 is made again at 9000: is that a broken promise?
fn repeated_after(fault: Fault, limits: Limits) -> Vec<Rule> {
    let first = Call { read: Some(at(2_100)), ..call(1, Part::Customer, 0, 1_000, 2_100) };
    let calls = vec![first, call(1, Part::Customer, 1, 9_000, 9_100)];
    let history = History { calls, faults: vec![fault], ..History::default() };
    let found = check(&history, limits).into_iter().map(|violation| violation.rule);
    found.filter(|rule| *rule == Rule::Repeated).collect()
}

#[test]
fn an_answer_that_was_read_is_asked_for_again_only_if_there_was_no_time_to_store_it() {
    let found = |kind, from, until| repeated_after(fault(kind, 0, from, until), LIMITS);
    for (kind, from, until) in [
        (FaultKind::Kill, 2_500, 2_500),
        (FaultKind::Freeze, 2_000, 6_000),
        (FaultKind::Partition, 3_000, 6_500),
        (FaultKind::Blackhole, 2_000, 5_500),
        (FaultKind::BrokerKill, 1_500, 1_500),
        (FaultKind::Terminate, 1_200, 3_700),
    ] {
        assert_eq!(found(kind, from, until), [], "{kind:?} from {from}");
    }
    for (kind, from, until) in [
        (FaultKind::Kill, 3_200, 3_200),
        (FaultKind::Freeze, 3_200, 7_000),
        (FaultKind::Partition, 3_200, 6_500),
        (FaultKind::Blackhole, 3_200, 6_500),
        (FaultKind::BrokerKill, 3_200, 3_200),
        (FaultKind::Terminate, 2_000, 4_500),
        (FaultKind::Cut, 2_100, 2_100),
    ] {
        assert_eq!(found(kind, from, until), [Rule::Repeated], "{kind:?} from {from}");
    }
}

#[test]
fn a_broker_that_is_away_for_less_than_a_lease_explains_nothing() {
    let away = fault(FaultKind::BrokerOutage, 0, 2_000, 8_000);
    assert_eq!(repeated_after(away, LIMITS), []);
    let patient = Limits { ack_wait: Duration::from_mins(2), ..LIMITS };
    assert_eq!(repeated_after(away, patient), [Rule::Repeated]);
}

#[test]
fn a_key_that_is_missing_shared_or_changed_is_found() {
    for key in [None, Some("run-1:2".to_owned()), Some("run-10:1".to_owned()), Some("other".to_owned())] {
        let mut history = good();
        add_run(&mut history, "run-13", 1, 1_020);
        let again = history.calls.iter_mut().find(|call| call.step.part == Part::Agent).unwrap();
        let changed = key == Some("run-10:1".to_owned());
        again.key = key;
        // A key of another form is one, unless the step had another before.
        if changed {
            let mut first = again.clone();
            (first.from, first.end, first.read) = (at(1_450), CallEnd::Abandoned(at(1_460)), None);
            first.key = Some("run-1:1".to_owned());
            history.calls.insert(0, first);
            history.faults.push(fault(FaultKind::Kill, 0, 1_460, 1_460));
        }
        assert_eq!(broken(&history), [Rule::Key]);
    }
}

#[test]
fn a_state_that_is_missing_or_says_something_else_than_the_outcome_is_found() {
    let mut history = good();
    history.states.clear();
    assert_eq!(broken(&history), [Rule::State]);
    for (field, value) in [("phase", "running"), ("status", "ERROR")] {
        let mut history = good();
        history.states.get_mut("run-1").unwrap()[field] = json!(value);
        assert_eq!(broken(&history), [Rule::State], "{field}");
    }
}

#[test]
fn an_outcome_of_a_worker_that_had_lost_its_run_is_found() {
    let mut history = good();
    history.states.get_mut("run-1").unwrap()["attempts"] = json!(2);
    assert_eq!(broken(&history), [Rule::Fence]);
}

#[test]
fn a_call_of_a_worker_that_slept_is_excused_until_it_can_know() {
    let mut history = good();
    history.calls.push(call(1, Part::Agent, 1, 2_910, 2_950));
    assert_eq!(broken(&history), [Rule::Repeated]);
    history.faults.push(fault(FaultKind::Freeze, 1, 1_000, 1_600));
    assert_eq!(broken(&history), [Rule::Repeated], "it was awake for long");
    history.faults[0] = fault(FaultKind::Freeze, 1, 1_000, 2_900);
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
    history.calls[0].end = CallEnd::Answered(at(2_205));
    assert_eq!(broken(&history), [], "a worker that woke up has a heartbeat's time to find out");
    history.calls[0].end = CallEnd::Answered(at(2_300));
    assert_eq!(broken(&history), [Rule::Overlap], "and no more");
    history.faults[0] = fault(FaultKind::BrokerKill, 1, 950, 950);
    assert_eq!(broken(&history), [], "a broker that was killed forgot the lease");
    history.calls[0].end = CallEnd::Answered(at(5_300));
    history.calls.last_mut().unwrap().end = CallEnd::Answered(at(5_300));
    assert_eq!(broken(&history), [Rule::Overlap], "a lease is over by then");
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
    assert_eq!(broken(&history), [Rule::Began]);
    let mut history = good();
    history.events[0].payload["startedAt"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(broken(&history), [Rule::Began], "the outcome says another time");
    let mut history = good();
    history.events[2].payload["traceId"] = json!("of another trace");
    assert_eq!(broken(&history), [Rule::Began]);
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
