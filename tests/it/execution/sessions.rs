//! Sessions of targets: begun once, gone on with, ended whatever the run came to.

use std::sync::Arc;

use scenario_worker::events::RunStatus;
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::orchestrator::{Interruption, RunEnd};
use scenario_worker::execution::ports::OnUnknown;
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::{Conversation, Ending, Session, SpanNote, Step};
use serde_json::json;

use super::{cancelled_when, interrupted, outcome, play};
use crate::support::play::{Agent, Hangs, Record, Sessions, Stage, request};

fn kept() -> Stage {
    Stage { session: Sessions::Kept, ..Stage::default() }
}

fn marks(record: &Record) -> Vec<String> {
    record.sessions.lock().unwrap().clone()
}

fn stored(record: &Record) -> Conversation {
    record.conversation.lock().unwrap().clone().unwrap()
}

#[tokio::test]
async fn a_session_is_begun_before_the_first_turn_and_ended_after_the_last() {
    let stage = Stage { verdict_in_turn: 2, ..kept() };
    let record = Arc::clone(&stage.record);
    assert_eq!(play(stage).await.status, RunStatus::Success);
    assert_eq!(marks(&record), ["begin", "turn s0", "turn s1", "end s2"]);
    let stored = stored(&record);
    assert!(stored.session.is_none() && stored.ending.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_ended_whatever_the_run_comes_to() {
    let (late, patient) = (json!({ "timeoutSeconds": 5 }), json!({ "timeoutSeconds": 86_400 }));
    let no_judge = json!({ "models": { "judge": "double/model" }, "timeoutSeconds": 5 });
    let cases = [
        (Stage { agent: Agent::Fails("HTTP 500"), ..kept() }, json!({}), "end s0"),
        (Stage { agent: Agent::Panics, ..kept() }, json!({}), "end s0"),
        (Stage { agent: Agent::Hangs, ..kept() }, late, "end s0"),
        (Stage { agent: Agent::Hangs, ..kept() }, patient, "end s0"),
        (Stage { customer: " ", ..kept() }, json!({}), "end s0"),
        (Stage { hangs: Some(Hangs::Judge), judge_on_timeout: false, ..kept() }, no_judge, "end s1"),
    ];
    for (stage, more, expected) in cases {
        let record = Arc::clone(&stage.record);
        let outcome = outcome(stage.play(&request(&more)).await);
        assert_eq!(outcome.status, RunStatus::Error);
        let ends: Vec<_> = marks(&record).into_iter().filter(|mark| mark.starts_with("end")).collect();
        assert_eq!(ends, [expected], "{:?}", outcome.error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_its_session() {
    let stage = Stage { hangs: Some(Hangs::Judge), ..kept() };
    let record = Arc::clone(&stage.record);
    let outcome = cancelled_when(stage, |c| c.is_some_and(|c| c.next == Step::Judge)).await;
    assert_eq!(outcome.status, RunStatus::Cancelled);
    assert_eq!(marks(&record), ["begin", "turn s0", "end s1"]);
}

#[tokio::test]
async fn a_resumed_run_goes_on_with_its_session() {
    let stage = Stage { agent: Agent::Hangs, ..kept() };
    let first = Arc::clone(&stage.record);
    let resumed = interrupted(stage, OnUnknown::Retry).await;
    assert!(!marks(&first).iter().any(|mark| mark.starts_with("end")), "it goes on elsewhere");
    let second = Stage { resumed, ..kept() };
    let record = Arc::clone(&second.record);
    assert_eq!(play(second).await.status, RunStatus::Success);
    assert_eq!(marks(&record), ["turn s0", "end s1"]);
}

/// A run that had begun its session when its worker was lost.
fn lost_worker() -> Conversation {
    let (session, trace_id) = (Some(Session::new(json!("s7"))), Some("t".to_owned()));
    let started_at = Some(time::OffsetDateTime::now_utc());
    Conversation { session, trace_id, started: true, started_at, ..Conversation::default() }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_while_nobody_plays_it_ends_its_session() {
    let stage = Stage { resumed: Some(lost_worker()), ..kept() };
    stage.stop.stop(StopReason::Cancelled);
    let record = Arc::clone(&stage.record);
    assert_eq!(play(stage).await.status, RunStatus::Cancelled);
    assert_eq!(marks(&record), ["end s7"]);
}

#[tokio::test]
async fn a_run_that_is_given_up_ends_its_session() {
    let stage = Stage { resumed: Some(lost_worker()), ..kept() };
    let record = Arc::clone(&stage.record);
    let failure = RunFailure::new("attempts_exhausted", scenario_worker::events::Attribution::Worker, "lost");
    let outcome = outcome(stage.give_up(&request(&json!({})), failure).await);
    assert_eq!(outcome.error.unwrap().code, "attempts_exhausted");
    assert_eq!(marks(&record), ["end s7"]);
    assert!(stored(&record).session.is_none());
}

#[tokio::test]
async fn a_run_that_had_its_ending_and_not_its_session_s_ends_that() {
    let ending = Some(Ending::Cancelled("Cancelled by user".into()));
    let resumed = Some(Conversation { ending, ..lost_worker() });
    let stage = Stage { resumed, ..kept() };
    let record = Arc::clone(&stage.record);
    assert_eq!(play(stage).await.status, RunStatus::Cancelled);
    assert_eq!(marks(&record), ["end s7"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_run_without_a_target_is_left_open_and_the_outcome_comes() {
    let stage = Stage { resumed: Some(lost_worker()), hangs: Some(Hangs::Store), project: None, ..kept() };
    stage.stop.stop(StopReason::Cancelled);
    let record = Arc::clone(&stage.record);
    assert_eq!(play(stage).await.status, RunStatus::Cancelled);
    assert!(marks(&record).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_fails_is_noted_and_changes_no_verdict() {
    for (session, code, why) in [
        (Sessions::NoEnd, "http_status", "HTTP 500"),
        (Sessions::EndHangs, "execution_timeout", "within 7 s"),
        (Sessions::EndPanics, "worker_panic", "failed"),
    ] {
        let stage = Stage { session, ..Stage::default() };
        let record = Arc::clone(&stage.record);
        let outcome = play(stage).await;
        assert_eq!((outcome.status, outcome.error), (RunStatus::Success, None));
        assert_eq!(marks(&record).last().unwrap(), "end s1");
        let notes = record.notes.lock().unwrap().clone();
        assert!(
            matches!(&notes[..], [SpanNote::SessionNotEnded { code: found, message }] if found == code && message.contains(why)),
            "{notes:?}"
        );
        assert!(stored(&record).session.is_none(), "nobody tries again");
    }
}

#[tokio::test]
async fn a_run_whose_session_cannot_be_begun_is_an_error_and_has_nothing_to_end() {
    let stage = Stage { session: Sessions::NoBegin, ..Stage::default() };
    let record = Arc::clone(&stage.record);
    let outcome = play(stage).await;
    assert_eq!(outcome.error.unwrap().message, "HTTP 503");
    assert_eq!((marks(&record), outcome.usage.user_simulator.calls), (vec!["begin".to_owned()], 0));
}

#[tokio::test]
async fn a_worker_that_loses_the_run_leaves_its_session_alone() {
    let stage = Stage { agent: Agent::Hangs, resumed: Some(lost_worker()), ..kept() };
    stage.stop.stop(StopReason::LeaseLost);
    let record = Arc::clone(&stage.record);
    let end = stage.play(&request(&json!({}))).await;
    assert!(matches!(end, RunEnd::Interrupted { why: Interruption::LeaseLost, .. }));
    assert!(marks(&record).is_empty());
}

#[tokio::test]
async fn a_replay_begins_and_ends_no_session_and_a_recording_holds_none() {
    let stage = kept();
    let shelf = Arc::clone(&stage.cassettes);
    let first = outcome(stage.play(&request(&json!({ "cassette": "record", "scenarioRunId": "one" }))).await);
    assert!(!shelf.to_text().contains("s1"), "{}", shelf.to_text());
    let stage = Stage { cassettes: shelf, ..kept() };
    let record = Arc::clone(&stage.record);
    let second =
        outcome(stage.play(&request(&json!({ "cassette": "replay", "scenarioRunId": "two" }))).await);
    assert_eq!((second.status, second.messages), (first.status, first.messages));
    assert!(marks(&record).is_empty());
}

#[tokio::test]
async fn a_session_that_could_not_begin_does_not_begin_in_the_replay_either() {
    let stage = Stage { session: Sessions::NoBegin, ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let first = outcome(stage.play(&request(&json!({ "cassette": "record" }))).await);
    let stage = Stage { cassettes: shelf, ..Stage::default() };
    let second = outcome(stage.play(&request(&json!({ "cassette": "replay" }))).await);
    assert_eq!(first.error.as_ref().unwrap().message, "HTTP 503");
    assert_eq!(second.error, first.error);
}
