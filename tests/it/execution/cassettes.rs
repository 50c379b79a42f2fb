//! Recording a run and hearing it again.

use std::sync::Arc;

use serde_json::{Value, json};

use scenario_worker::events::{RunCompleted, RunStatus};

use crate::support::play::{Agent, Hangs, Shelf, Stage, request, scenario};

async fn play(stage: Stage, asked: Value) -> RunCompleted {
    super::outcome(stage.play(&request(&asked)).await)
}

async fn recorded() -> (Arc<Shelf>, RunCompleted) {
    let stage = Stage { verdict_in_turn: 2, ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let outcome = play(stage, json!({ "cassette": "record", "scenarioRunId": "one" })).await;
    (shelf, outcome)
}

/// Somebody else's words everywhere: whatever is heard is the recording.
fn other_voices(cassettes: Arc<Shelf>) -> Stage {
    let (agent, customer) = (Agent::Fails("nobody is there"), "something else");
    Stage { cassettes, agent, customer, verdict: json!({}), ..Stage::default() }
}

/// All of an outcome that is not a time or an id.
fn essence(outcome: &RunCompleted) -> String {
    let mut outcome = serde_json::to_value(outcome).unwrap();
    for changing in ["scenarioRunId", "batchRunId", "startedAt", "finishedAt", "durationMs"] {
        outcome.as_object_mut().unwrap().remove(changing);
    }
    outcome.to_string()
}

#[tokio::test]
async fn a_replay_equals_its_recording_byte_for_byte_and_asks_nobody() {
    let (shelf, first) = recorded().await;
    let stage = other_voices(shelf);
    let record = Arc::clone(&stage.record);
    let second = play(stage, json!({ "cassette": "replay", "scenarioRunId": "two" })).await;
    assert_eq!(first.status, RunStatus::Success);
    assert_eq!(essence(&second), essence(&first));
    assert!(record.asked.lock().unwrap().is_empty(), "nobody is asked");
}

#[tokio::test]
async fn a_replay_that_differs_names_the_first_call_that_does() {
    let (shelf, _) = recorded().await;
    let mut changed = scenario();
    changed.situation = "A cup broke.".into();
    let stage = Stage { scenario: Some(changed), ..other_voices(shelf) };
    let error = play(stage, json!({ "cassette": "replay" })).await.error.unwrap();
    assert_eq!(error.code, "cassette_differs");
    assert!(error.message.contains("call 1 of the customer"), "{}", error.message);
    assert!(
        error.message.contains("A mug broke") && error.message.contains("A cup broke"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_run_that_goes_on_behind_the_recording_says_where_it_ended() {
    let (shelf, _) = recorded().await;
    let mut longer = scenario();
    longer.min_turns = Some(3);
    let stage = Stage { scenario: Some(longer), ..other_voices(shelf) };
    let error = play(stage, json!({ "cassette": "replay" })).await.error.unwrap();
    assert!(error.message.contains("has no call 3 of the customer"), "{}", error.message);
}

#[tokio::test]
async fn a_cassette_without_a_finished_recording_cannot_be_replayed() {
    let error =
        play(Stage::default(), json!({ "cassette": { "mode": "replay", "name": "x" } })).await.error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("cassette_not_found", "Cassette 'x' holds no recording")
    );
}

#[tokio::test]
async fn a_failure_is_recorded_and_replayed_too() {
    let stage = Stage { agent: Agent::Fails("HTTP 500"), ..Stage::default() };
    let shelf = Arc::clone(&stage.cassettes);
    let first = play(stage, json!({ "cassette": "record" })).await;
    let stage = Stage { cassettes: shelf, hangs: Some(Hangs::Judge), ..Stage::default() };
    let second = play(stage, json!({ "cassette": "replay" })).await;
    assert_eq!((first.error.as_ref(), first.messages), (second.error.as_ref(), second.messages));
    assert_eq!(second.error.unwrap().message, "HTTP 500");
}
