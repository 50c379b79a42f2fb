//! Histories of calls that were made too often, by too many, or under the wrong key.

use super::*;

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
    let deaf = |since| Fault { unheard_since: Some(at(since)), ..fault(FaultKind::Kill, 0, 3_200, 3_200) };
    assert_eq!(repeated_after(deaf(2_000), LIMITS), [], "the worker's words did not get through");
    assert_eq!(repeated_after(deaf(2_150), LIMITS), [Rule::Repeated], "they did when the answer was read");
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
