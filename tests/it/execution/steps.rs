//! Turns of a target that take several calls: each is a step that is kept and paid.

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::events::{RunCompleted, RunStatus};
use scenario_worker::execution::signals::StopReason;
use scenario_worker::execution::types::Conversation;
use serde_json::{Value, json};

use super::{outcome, play};
use crate::support::play::{Agent, Record, Stage, request};

fn in_steps(steps: u64) -> Stage {
    Stage { agent: Agent::InSteps { steps, hangs_at: None }, ..Stage::default() }
}

fn steps(record: &Record) -> Vec<u64> {
    record.steps.lock().unwrap().clone()
}

async fn asked(stage: Stage, more: Value) -> RunCompleted {
    outcome(stage.play(&request(&more)).await)
}

#[tokio::test]
async fn every_call_of_a_turn_counts_and_its_last_one_is_the_reply() {
    let stage = in_steps(2);
    let record = Arc::clone(&stage.record);
    let outcome = play(stage).await;
    assert_eq!(outcome.status, RunStatus::Success);
    assert_eq!(steps(&record), [0, 1, 2]);
    let messages = outcome.messages.unwrap();
    assert_eq!((messages.len(), messages[1].content.as_str()), (2, "I am sorry"));
    assert_eq!(messages[1].latency_ms, Some(30), "the agent took all of its calls");
    let usage = outcome.usage.target;
    assert_eq!((usage.calls, usage.input_tokens, usage.output_tokens), (3, 30, 6));
    let stored = record.conversation.lock().unwrap().clone().unwrap();
    assert!(stored.target_turn.is_none(), "the turn is over");
}

/// What is stored of a run whose agent hangs in this step.
async fn interrupted_in_step(step: u64) -> Conversation {
    let agent = Agent::InSteps { steps: 2, hangs_at: Some(step) };
    let stage = Stage { agent, ..Stage::default() };
    let (signal, record) = (stage.stop.clone(), Arc::clone(&stage.record));
    let hand_back = async {
        while steps(&record).last() != Some(&step) {
            tokio::task::yield_now().await;
        }
        signal.stop(StopReason::HandBack);
    };
    let asked = request(&json!({}));
    tokio::join!(stage.play(&asked), hand_back);
    let stored = record.conversation.lock().unwrap().clone();
    stored.unwrap()
}

#[tokio::test]
async fn whoever_goes_on_with_a_run_repeats_only_the_call_that_was_under_way() {
    let left = interrupted_in_step(2).await;
    // It is stored as JSON.
    let left: Conversation = serde_json::from_value(serde_json::to_value(&left).unwrap()).unwrap();
    let open = left.target_turn.as_ref().unwrap();
    assert_eq!((&open.state, open.latency), (&json!(2), Duration::from_millis(20)));
    let stage = Stage { resumed: Some(left), ..in_steps(2) };
    let record = Arc::clone(&stage.record);
    let outcome = play(stage).await;
    assert_eq!((outcome.status, steps(&record)), (RunStatus::Success, vec![2]));
    assert_eq!((outcome.usage.target.calls, outcome.usage.user_simulator.calls), (3, 1));
    assert_eq!(outcome.messages.unwrap()[1].latency_ms, Some(30));
}

#[tokio::test]
async fn a_state_of_another_turn_is_not_given_to_this_one() {
    let mut left = interrupted_in_step(1).await;
    left.target_turn.as_mut().unwrap().messages = 7;
    let stage = Stage { resumed: Some(left), ..in_steps(1) };
    let record = Arc::clone(&stage.record);
    assert_eq!(play(stage).await.status, RunStatus::Success);
    assert_eq!(steps(&record), [0, 1]);
}

#[tokio::test]
async fn a_turn_of_many_calls_ends_where_the_budget_does() {
    let stage = in_steps(50);
    let record = Arc::clone(&stage.record);
    // The customer's line and two of the agent's calls take 12 tokens each.
    let outcome = asked(stage, json!({ "maxTokens": 36 })).await;
    assert_eq!(outcome.error.unwrap().code, "budget_exceeded");
    assert_eq!((steps(&record), outcome.usage.target.calls), (vec![0, 1], 2));
}

#[tokio::test]
async fn each_call_of_a_turn_is_on_the_cassette() {
    let stage = in_steps(2);
    let cassettes = Arc::clone(&stage.cassettes);
    let first = asked(stage, json!({ "cassette": "record", "scenarioRunId": "one" })).await;
    assert_eq!(first.status, RunStatus::Success);
    assert!(cassettes.to_text().contains("soFar"), "{}", cassettes.to_text());
    let silent = Stage { agent: Agent::Fails("nobody is there"), cassettes, ..Stage::default() };
    let second = asked(silent, json!({ "cassette": "replay", "scenarioRunId": "two" })).await;
    assert_eq!((second.status, &second.usage.target), (RunStatus::Success, &first.usage.target));
}
