//! What a run came to, kept until it is told: by whoever has the run then.

use scenario_worker::events::{Attribution, RunStatus, TelemetryReceipt};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::orchestrator::{Interruption, RunEnd};
use scenario_worker::execution::ports::OnUnknown;
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::{Conversation, Ending, Report, Step};
use serde_json::json;

use super::{cancelled_when, outcome, play};
use crate::support::play::{Agent, Hangs, Lost, Stage, request};

#[tokio::test(start_paused = true)]
async fn every_ending_is_stored_before_the_trace_is_delivered() {
    let late = json!({ "timeoutSeconds": 5 });
    let patient = json!({ "timeoutSeconds": 86_400 });
    let cases = [
        (Stage::default(), json!({}), None),
        (Stage { agent: Agent::Fails("HTTP 500"), ..Stage::default() }, json!({}), Some("http_status")),
        (Stage { agent: Agent::Panics, ..Stage::default() }, json!({}), Some("worker_panic")),
        (Stage { agent: Agent::Hangs, ..Stage::default() }, late, Some("execution_timeout")),
        (Stage { agent: Agent::Hangs, ..Stage::default() }, patient, Some("execution_stalled")),
    ];
    for (stage, more, code) in cases {
        let record = stage.record.clone();
        let outcome = outcome(stage.play(&request(&more)).await);
        let stored = match record.ending.lock().unwrap().clone() {
            Some(Ending::Failed(failure)) => Some(failure.to_error()),
            Some(Ending::Judged(_)) => None,
            other => panic!("{code:?} is not stored: {other:?}"),
        };
        assert_eq!(stored.as_ref().map(|error| error.code.as_str()), code);
        assert_eq!(outcome.error, stored);
    }
    let stage = Stage { hangs: Some(Hangs::Judge), ..Stage::default() };
    let record = stage.record.clone();
    cancelled_when(stage, |c| c.is_some_and(|c| c.next == Step::Judge)).await;
    assert_eq!(*record.ending.lock().unwrap(), Some(Ending::Cancelled("Cancelled by user".into())));
}

/// A run that had failed when its worker was lost.
fn failed_before() -> Conversation {
    let failure = RunFailure::new("http_status", Attribution::Target, "HTTP 400");
    let started_at = Some(time::OffsetDateTime::now_utc());
    let (ending, trace_id) = (Some(Ending::Failed(failure)), Some("t".to_owned()));
    Conversation { started: true, started_at, trace_id, ending, ..Conversation::default() }
}

#[tokio::test]
async fn a_run_that_has_its_ending_is_told_and_not_played_again() {
    let stage = Stage { resumed: Some(failed_before()), ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    assert_eq!((outcome.error.unwrap().message.as_str(), outcome.usage.target.calls), ("HTTP 400", 0));
    assert_eq!((outcome.telemetry.spans, record.finished.lock().unwrap().len()), (3, 1));
}

#[tokio::test]
async fn a_run_that_has_its_ending_needs_its_definitions_no_more() {
    let outcome = play(Stage { resumed: Some(failed_before()), project: None, ..Stage::default() }).await;
    assert_eq!(outcome.error.unwrap().message, "HTTP 400");
    assert_eq!(outcome.telemetry.error.unwrap(), "the run could not go on, so its trace has no root");
}

#[tokio::test]
async fn a_run_that_lacks_only_its_outcome_is_told_as_it_was() {
    let telemetry =
        TelemetryReceipt { trace_id: Some("t".into()), spans: 7, exported: 6, ..TelemetryReceipt::default() };
    let report = Report { telemetry, finished_at: time::OffsetDateTime::now_utc() };
    let resumed = Some(Conversation { report: Some(report.clone()), ..failed_before() });
    let stage = Stage { resumed, hangs: Some(Hangs::Store), ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    assert_eq!((outcome.telemetry, outcome.finished_at), (report.telemetry, report.finished_at));
    assert!(record.finished.lock().unwrap().is_empty(), "there is no second root");
}

#[tokio::test]
async fn a_worker_that_lost_the_run_while_it_delivered_the_trace_has_no_outcome() {
    let stage = Stage { lost: Some(Lost::AtTheEnd), ..Stage::default() };
    let record = stage.record.clone();
    let end = stage.play(&request(&json!({}))).await;
    assert!(matches!(end, RunEnd::Interrupted { why: Interruption::LeaseLost, .. }));
    assert_eq!(record.finished.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_that_must_not_be_made_twice_ends_with_the_worker_that_stops() {
    let stage = Stage { agent: Agent::Hangs, on_unknown: OnUnknown::Fail, ..Stage::default() };
    let (stop, record, asked) = (stage.stop.clone(), stage.record.clone(), request(&json!({})));
    let hand_back = async {
        while !record.conversation.lock().unwrap().as_ref().is_some_and(|c| c.target_call_open) {
            tokio::task::yield_now().await;
        }
        stop.stop(StopReason::HandBack);
    };
    let (end, ()) = tokio::join!(stage.play(&asked), hand_back);
    let error = outcome(end).error.unwrap();
    assert_eq!(error.code, "target_call_unknown");
    assert!(
        error.message.starts_with("The worker was stopped while the agent was asked"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_call_that_failed_is_not_open_any_more() {
    let stage = Stage { agent: Agent::Fails("HTTP 400"), on_unknown: OnUnknown::Fail, ..Stage::default() };
    let record = stage.record.clone();
    play(stage).await;
    assert!(!record.conversation.lock().unwrap().as_ref().unwrap().target_call_open);
}

#[tokio::test]
async fn a_run_that_was_stored_and_not_announced_is_announced() {
    let began = time::OffsetDateTime::now_utc() - time::Duration::seconds(9);
    let resumed = Some(Conversation { started_at: Some(began), ..Conversation::default() });
    let stage = Stage { resumed, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = play(stage).await;
    let started: Vec<_> = record.started.lock().unwrap().iter().map(|event| event.started_at).collect();
    assert_eq!((outcome.started_at, started), (began, vec![began]));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_run_that_lost_its_worker_does_not_wait_for_the_store() {
    let resumed = Some(Conversation { ending: None, ..failed_before() });
    let stage = Stage { resumed, hangs: Some(Hangs::Store), ..Stage::default() };
    stage.stop.stop(StopReason::Cancelled);
    let outcome = play(stage).await;
    assert_eq!((outcome.status, outcome.reasoning.as_str()), (RunStatus::Cancelled, "Cancelled by user"));
    assert_eq!(outcome.telemetry.trace_id.as_deref(), Some("t"));
}
