//! Histories of runs that ended wrongly, twice, or not at all.

use super::*;

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
fn a_broker_that_was_killed_may_have_given_a_run_away_once_before_its_holder_knew() {
    let mut history = good();
    let at = outcome(&mut history).at;
    let run = outcome(&mut history).run.clone();
    let killed = |since| {
        let when = at.saturating_sub(since);
        Fault { from: when, until: when, ..fault(FaultKind::BrokerKill, 0, 0, 0) }
    };
    for (since, attempts, rules) in [
        (LIMITS.ack_wait, 2, &[][..]),
        (LIMITS.ack_wait, 3, &[Rule::Fence]),
        (LIMITS.ack_wait + Duration::from_millis(1), 2, &[Rule::Fence]),
    ] {
        history.states.get_mut(&run).unwrap()["attempts"] = json!(attempts);
        history.faults = vec![killed(since)];
        assert_eq!(broken(&history), rules, "{since:?} {attempts}");
    }
}

#[test]
fn an_outcome_that_repeats_other_messages_is_found() {
    let mut history = good();
    outcome(&mut history).payload["messages"].as_array_mut().unwrap().pop();
    assert_eq!(broken(&history), [Rule::Messages]);
}
