//! Runs played on a stage of doubles: what they come to, by outcome.

mod customer;

use serde_json::json;

use scenario_worker::events::{Attribution, JudgeModels, RunCompleted, RunStatus, TelemetryReceipt, Verdict};
use scenario_worker::execution::orchestrator::{Interruption, RunEnd};
use scenario_worker::execution::ports::OnUnknown;
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::{Conversation, SpanEnd, Step};

mod budgets;
mod cassettes;
mod endings;
mod judging;
mod limits;
mod scripts;
mod sessions;
mod steps;

use crate::support::play::{Agent, Hangs, Lost, Stage, project, request, scenario, target};

fn outcome(end: RunEnd) -> RunCompleted {
    match end {
        RunEnd::Outcome { completed, .. } => *completed,
        RunEnd::Interrupted { why, .. } => panic!("the run was interrupted: {why}"),
    }
}

async fn play(stage: Stage) -> RunCompleted {
    outcome(stage.play(&request(&json!({}))).await)
}

#[tokio::test]
async fn a_run_that_meets_its_criteria_succeeds() {
    let stage = Stage { verdict_in_turn: 2, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    assert_eq!(
        (outcome.status, outcome.success, outcome.verdict),
        (RunStatus::Success, true, Some(Verdict::Success))
    );
    assert_eq!(outcome.met_criteria, ["The agent apologises"]);
    assert_eq!((outcome.turns, outcome.reasoning.as_str(), outcome.target), (2, "All in all.", target()));
    let said: Vec<_> = outcome.messages.unwrap().into_iter().map(|m| (m.index, m.turn, m.content)).collect();
    let line = |index, turn, text: &str| (index, turn, text.to_owned());
    assert_eq!(
        said,
        [
            line(0, 1, "my mug broke"),
            line(1, 1, "I am sorry"),
            line(2, 2, "my mug broke"),
            line(3, 2, "I am sorry")
        ]
    );
    assert_eq!(outcome.usage.user_simulator.calls, 2);
    assert_eq!(outcome.usage.target.calls, 2);
    assert_eq!((outcome.usage.judge.calls, outcome.usage.judge.input_tokens), (3, 30));
    assert_eq!(record.started.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unmet_criterion_fails_the_run() {
    let verdict = json!({ "c1": { "requirement": "r", "reasoning": "rude", "status": "unmet" } });
    let outcome = play(Stage { verdict, ..Stage::default() }).await;
    assert_eq!(
        (outcome.status, outcome.verdict, outcome.error),
        (RunStatus::Failed, Some(Verdict::Failure), None)
    );
    assert_eq!(
        (outcome.unmet_criteria, outcome.criteria[0].reasoning.as_str()),
        (vec!["The agent apologises".into()], "rude")
    );
}

#[tokio::test]
async fn a_criterion_that_the_judge_leaves_out_is_unmet() {
    let outcome = play(Stage { verdict: json!({}), ..Stage::default() }).await;
    assert_eq!((outcome.status, outcome.unmet_criteria.len()), (RunStatus::Failed, 1));
}

#[tokio::test]
async fn at_the_last_turn_the_judge_must_decide() {
    let outcome = play(Stage { verdict_in_turn: 99, ..Stage::default() }).await;
    assert_eq!((outcome.status, outcome.turns), (RunStatus::Success, 3));
}

#[tokio::test]
async fn a_last_turn_without_conclusion_says_so() {
    let verdict = json!({ "c1": "inconclusive" });
    let outcome = play(Stage { verdict, ..Stage::default() }).await;
    assert_eq!(
        (outcome.status, outcome.verdict, outcome.turns),
        (RunStatus::Failed, Some(Verdict::Inconclusive), 3)
    );
    assert!(
        outcome.reasoning.starts_with("Reached maximum turns (3) without conclusion"),
        "{}",
        outcome.reasoning
    );
    assert_eq!(outcome.unmet_criteria.len(), 1);
}

#[tokio::test]
async fn below_min_turns_the_judge_is_not_asked() {
    let outcome = outcome(Stage::default().play(&request(&json!({ "minTurns": 2 }))).await);
    assert_eq!((outcome.turns, outcome.usage.judge.calls), (2, 2));
}

#[tokio::test]
async fn what_cannot_be_resolved_is_an_outcome_that_never_ran() {
    let no_model = scenario_worker::definitions::Project { default_model: None, ..project() };
    let cases = [
        (Stage { scenario: None, ..Stage::default() }, "Scenario refund not found"),
        (Stage { scenario: None, project: None, ..Stage::default() }, "Project acme not found"),
        (Stage { project: None, ..Stage::default() }, "Project acme not found"),
        (Stage { project: Some(no_model), ..Stage::default() }, "Project default model is not configured"),
    ];
    for (stage, message) in cases {
        let record = stage.record.clone();
        let outcome = play(stage).await;
        let error = outcome.error.unwrap();
        assert_eq!((outcome.status, error.message.as_str()), (RunStatus::Error, message));
        assert_eq!((outcome.reasoning.as_str(), error.attributed_to), (message, Attribution::Definition));
        assert_eq!((outcome.verdict, outcome.telemetry.trace_id), (None, None));
        assert!(record.started.lock().unwrap().is_empty(), "{message}");
    }
}

#[tokio::test]
async fn turns_of_request_and_scenario_that_contradict_each_other_are_an_outcome() {
    let outcome = outcome(Stage::default().play(&request(&json!({ "minTurns": 5 }))).await);
    assert_eq!(outcome.error.unwrap().message, "minTurns is 5, more than maxTurns (3)");
    let shorter = scenario_worker::definitions::Scenario { min_turns: Some(2), ..scenario() };
    let stage = Stage { scenario: Some(shorter), ..Stage::default() };
    let outcome = super::execution::outcome(stage.play(&request(&json!({ "maxTurns": 1 }))).await);
    assert_eq!(outcome.error.unwrap().code, "invalid_turns");
}

#[tokio::test]
async fn a_failing_agent_is_to_blame_and_what_was_said_is_kept() {
    let stage = Stage { agent: Agent::Fails("HTTP 500"), ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    let error = outcome.error.unwrap();
    assert_eq!(
        (outcome.status, error.attributed_to, error.message.as_str()),
        (RunStatus::Error, Attribution::Target, "HTTP 500")
    );
    assert_eq!((outcome.messages.unwrap().len(), outcome.usage.target.calls), (1, 1));
    assert!(matches!(record.finished.lock().unwrap()[..], [SpanEnd::Failed { .. }]));
}

#[tokio::test]
async fn a_customer_without_words_is_the_customers_fault() {
    let outcome = play(Stage { customer: " ", ..Stage::default() }).await;
    assert_eq!(outcome.error.unwrap().attributed_to, Attribution::UserSimulator);
    assert_eq!(outcome.usage.user_simulator.calls, 3);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_times_out_and_its_trace_is_finished() {
    let stage = Stage { agent: Agent::Hangs, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = outcome(stage.play(&request(&json!({ "timeoutSeconds": 5 }))).await);
    let error = outcome.error.unwrap();
    assert_eq!(
        (error.message.as_str(), error.attributed_to),
        ("Scenario execution timed out", Attribution::Target)
    );
    assert_eq!((outcome.status, outcome.messages.unwrap().len()), (RunStatus::Error, 1));
    assert_eq!(record.finished.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_panic_is_an_outcome_and_its_trace_is_finished() {
    let stage = Stage { agent: Agent::Panics, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    let error = outcome.error.unwrap();
    assert_eq!((error.code.as_str(), error.attributed_to), ("worker_panic", Attribution::Worker));
    assert!(!error.message.contains("bug"), "the panic's own words stay in the worker");
    assert_eq!(record.finished.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_cancelled_before_it_began_never_starts() {
    let stage = Stage::default();
    stage.stop.stop(StopReason::Cancelled);
    let record = stage.record.clone();
    let outcome = play(stage).await;
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Cancelled, Some(Verdict::Inconclusive)));
    assert_eq!((outcome.reasoning.as_str(), outcome.error), ("Cancelled before execution started", None));
    assert!(record.started.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_aborts_the_call_that_is_under_way() {
    let stage = Stage { agent: Agent::Hangs, ..Stage::default() };
    let (stop, record) = (stage.stop.clone(), stage.record.clone());
    let request = request(&json!({}));
    let cancel = async {
        while record.conversation.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        stop.stop(StopReason::Cancelled);
    };
    let (end, ()) = tokio::join!(stage.play(&request), cancel);
    let outcome = outcome(end);
    assert_eq!((outcome.status, outcome.reasoning.as_str()), (RunStatus::Cancelled, "Cancelled by user"));
    assert_eq!((outcome.messages.unwrap().len(), record.finished.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn what_was_heard_before_a_cancel_is_recorded_before_the_outcome_repeats_it() {
    let stage = Stage { cancelled_in_journal: true, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    let recorded = record.conversation.lock().unwrap().clone().unwrap_or_default().transcript();
    assert_eq!((outcome.status, outcome.messages), (RunStatus::Cancelled, Some(recorded.clone())));
    assert_eq!(recorded.len(), 1);
}

#[tokio::test]
async fn a_run_whose_lease_is_lost_says_nothing() {
    let stage = Stage { lost: Some(Lost::AtOnce), ..Stage::default() };
    let record = stage.record.clone();
    let end = stage.play(&request(&json!({}))).await;
    assert!(matches!(end, RunEnd::Interrupted { why: Interruption::LeaseLost, .. }));
    assert_eq!((*record.suspended.lock().unwrap(), record.finished.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_run_that_is_handed_back_has_no_outcome_here() {
    let stage = Stage { agent: Agent::Hangs, ..Stage::default() };
    stage.stop.stop(StopReason::HandBack);
    let end = stage.play(&request(&json!({}))).await;
    assert!(matches!(end, RunEnd::Interrupted { why: Interruption::HandBack, .. }));
}

#[tokio::test]
async fn a_failed_export_is_in_the_outcome_and_leaves_the_verdict_alone() {
    let receipt = TelemetryReceipt {
        trace_id: Some("t".into()),
        spans: 9,
        error: Some("401".into()),
        ..TelemetryReceipt::default()
    };
    let outcome = play(Stage { receipt: receipt.clone(), ..Stage::default() }).await;
    assert_eq!((outcome.status, outcome.telemetry), (RunStatus::Success, receipt));
}

#[tokio::test]
async fn a_resumed_run_goes_on_at_its_next_step() {
    let resumed = interrupted_while_the_agent_is_asked(OnUnknown::Retry).await;
    let second = Stage { resumed, ..Stage::default() };
    let record = second.record.clone();
    let outcome = play(second).await;
    assert_eq!((outcome.status, outcome.messages.unwrap().len()), (RunStatus::Success, 2));
    assert_eq!(outcome.usage.user_simulator.calls, 1, "the customer's line is not paid for again");
    assert!(record.started.lock().unwrap().is_empty(), "a resumed run does not start again");
}

#[tokio::test]
async fn a_resumed_run_keeps_the_rules_that_it_began_with() {
    let resumed = interrupted_while_the_agent_is_asked(OnUnknown::Retry).await;
    let mut other = scenario();
    other.criteria = vec!["The agent refuses".into(), "The agent sings".into()];
    other.models.judge = Some(JudgeModels::one("no model"));
    let outcome = play(Stage { resumed, scenario: Some(other), ..Stage::default() }).await;
    assert_eq!((outcome.status, outcome.met_criteria), (RunStatus::Success, scenario().criteria));
}

#[tokio::test]
async fn a_run_whose_scenario_was_deleted_meanwhile_goes_on() {
    let resumed = interrupted_while_the_agent_is_asked(OnUnknown::Retry).await;
    let outcome = play(Stage { resumed, scenario: None, ..Stage::default() }).await;
    assert_eq!(outcome.status, RunStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_times_out_is_judged_on_what_it_has_and_says_so() {
    let stage = Stage { agent: Agent::SaysOnce("I am sorry"), verdict_in_turn: 2, ..Stage::default() };
    let outcome = outcome(stage.play(&request(&json!({ "timeoutSeconds": 5 }))).await);
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Success, Some(Verdict::Success)));
    assert_eq!(outcome.reasoning, "Scenario execution timed out. All in all.");
    assert_eq!((outcome.turns, outcome.messages.unwrap().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_may_not_be_judged_late_ends_as_an_error() {
    let agent = Agent::SaysOnce("I am sorry");
    let stage = Stage { agent, verdict_in_turn: 2, judge_on_timeout: false, ..Stage::default() };
    let outcome = outcome(stage.play(&request(&json!({ "timeoutSeconds": 5 }))).await);
    assert_eq!(
        (outcome.status, outcome.reasoning.as_str()),
        (RunStatus::Error, "Scenario execution timed out")
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finishes_no_step_is_given_up() {
    let stage = Stage { agent: Agent::Hangs, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = outcome(stage.play(&request(&json!({ "timeoutSeconds": 86_400 }))).await);
    let error = outcome.error.unwrap();
    assert_eq!((error.code.as_str(), error.attributed_to), ("execution_stalled", Attribution::Target));
    assert_eq!(record.finished.lock().unwrap().len(), 1);
}

/// Plays until the agent is asked, then hands the run back, and returns what was stored before.
async fn interrupted_while_the_agent_is_asked(on_unknown: OnUnknown) -> Option<Conversation> {
    let stage = Stage { agent: Agent::Hangs, on_unknown, ..Stage::default() };
    interrupted(stage, on_unknown).await
}

/// The same with any stage whose agent never answers.
async fn interrupted(stage: Stage, on_unknown: OnUnknown) -> Option<Conversation> {
    let (stop, record) = (stage.stop.clone(), stage.record.clone());
    let asked = request(&json!({}));
    let is_asked = |conversation: &Option<Conversation>| {
        let ready = |c: &Conversation| on_unknown == OnUnknown::Retry || c.target_call_open;
        conversation.as_ref().is_some_and(ready)
    };
    let hand_back = async {
        while !is_asked(&record.conversation.lock().unwrap()) {
            tokio::task::yield_now().await;
        }
        let stored = record.conversation.lock().unwrap().clone();
        stop.stop(StopReason::HandBack);
        stored
    };
    tokio::join!(stage.play(&asked), hand_back).1
}

#[tokio::test]
async fn a_call_that_must_not_be_made_twice_ends_the_run_when_its_end_is_unknown() {
    let resumed = interrupted_while_the_agent_is_asked(OnUnknown::Fail).await;
    let outcome = play(Stage { resumed, on_unknown: OnUnknown::Fail, ..Stage::default() }).await;
    assert_eq!(outcome.error.unwrap().code, "target_call_unknown");
    assert_eq!(outcome.usage.target.calls, 0, "the agent is not asked again");
}

#[tokio::test]
async fn a_call_that_may_be_made_twice_is_made_again() {
    let resumed = interrupted_while_the_agent_is_asked(OnUnknown::Retry).await;
    let outcome = play(Stage { resumed, ..Stage::default() }).await;
    assert_eq!((outcome.status, outcome.messages.unwrap().len()), (RunStatus::Success, 2));
}

/// Cancels the run once `is_there` says so of what is recorded, and returns its outcome.
async fn cancelled_when(stage: Stage, is_there: impl Fn(Option<&Conversation>) -> bool) -> RunCompleted {
    let (stop, record, asked) = (stage.stop.clone(), stage.record.clone(), request(&json!({})));
    let cancel = async {
        while !is_there(record.conversation.lock().unwrap().as_ref()) {
            tokio::task::yield_now().await;
        }
        // The run is polled once more, so that it waits for whoever hangs.
        tokio::task::yield_now().await;
        stop.stop(StopReason::Cancelled);
    };
    let (end, ()) = tokio::join!(stage.play(&asked), cancel);
    outcome(end)
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_the_judge_decides_ends_the_run() {
    let stage = Stage { hangs: Some(Hangs::Judge), ..Stage::default() };
    let outcome = cancelled_when(stage, |c| c.is_some_and(|c| c.next == Step::Judge)).await;
    assert_eq!((outcome.status, outcome.reasoning.as_str()), (RunStatus::Cancelled, "Cancelled by user"));
    assert_eq!((outcome.messages.unwrap().len(), outcome.criteria.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_definitions_are_read_ends_the_run_before_it_begins() {
    let stage = Stage { hangs: Some(Hangs::Store), ..Stage::default() };
    let outcome = cancelled_when(stage, |_| true).await;
    assert_eq!((outcome.status, outcome.telemetry.trace_id), (RunStatus::Cancelled, None));
    assert_eq!(outcome.reasoning, "Cancelled before execution started");
}

#[tokio::test]
async fn an_outcome_tells_the_agents_own_words_without_its_internals() {
    let told = "HTTP 500 Internal Server Error from http://h/usr/x (request-id: none): {\"error\":\"no stock";
    let failed = "HTTP 500 Internal Server Error from http://h/usr/x (request-id: none): \
        {\"error\":\"no stock\\n    at reply (/home/me/agent.js:12:7)\"}";
    let outcome = play(Stage { agent: Agent::Fails(failed), ..Stage::default() }).await;
    let error = outcome.error.unwrap();
    assert_eq!((&*error.code, error.attributed_to), ("http_status", Attribution::Target));
    assert_eq!(error.message, format!("{told}\"}}"));
    assert_eq!(outcome.reasoning, error.message);
}
