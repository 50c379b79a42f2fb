//! What becomes of a run whose customer falls out of the part.

use serde_json::json;

use scenario_worker::definitions::Opening;
use scenario_worker::events::{Attribution, MessageRole, RunStatus};
use scenario_worker::execution::ports::OnUnknown;

use super::{interrupted, outcome, play};
use crate::support::play::{Agent, Stage, request, scenario};

const LONG_LINE: &str = "hello, my favourite mug arrived broken and the handle is off";

#[tokio::test]
async fn a_customer_who_plays_the_agent_ends_the_run_and_the_agent_is_not_blamed() {
    let outcome = play(Stage { customer: "How can I help you today?", ..Stage::default() }).await;
    let error = outcome.error.unwrap();
    assert_eq!((outcome.status, outcome.verdict, outcome.success), (RunStatus::Error, None, false));
    assert_eq!(
        (error.code.as_str(), error.attributed_to),
        ("user_simulator_invalid", Attribution::UserSimulator)
    );
    assert!(error.message.contains("speaks as the agent: “How can I help you today?”"), "{}", error.message);
    assert_eq!((outcome.usage.user_simulator.calls, outcome.usage.target.calls), (3, 0));
    assert!(outcome.messages.unwrap().is_empty());
}

#[tokio::test]
async fn a_customer_who_says_the_same_again_ends_the_run_with_what_was_said_before() {
    let stage = Stage { customer: LONG_LINE, verdict_in_turn: 2, ..Stage::default() };
    let outcome = play(stage).await;
    let error = outcome.error.unwrap();
    assert!(error.message.contains("that repeats what the customer said last"), "{}", error.message);
    assert_eq!((outcome.messages.unwrap().len(), outcome.usage.user_simulator.calls), (2, 4));
}

#[tokio::test]
async fn a_resumed_run_knows_what_the_customer_has_said() {
    let first = Stage { customer: LONG_LINE, agent: Agent::Hangs, ..Stage::default() };
    let resumed = interrupted(first, OnUnknown::Retry).await;
    let second = Stage { customer: LONG_LINE, verdict_in_turn: 2, resumed, ..Stage::default() };
    let outcome = play(second).await;
    assert_eq!(outcome.error.unwrap().code, "user_simulator_invalid");
    assert_eq!((outcome.messages.unwrap().len(), outcome.usage.user_simulator.calls), (2, 4));
}

#[tokio::test]
async fn a_mended_line_is_what_the_agent_hears() {
    let stage = Stage { customer: "<think>short</think>Customer: \"my mug broke\"", ..Stage::default() };
    let outcome = play(stage).await;
    assert_eq!((outcome.status, outcome.usage.user_simulator.calls), (RunStatus::Success, 1));
    assert_eq!(outcome.messages.unwrap()[0].content, "my mug broke");
}

#[tokio::test]
async fn a_customer_who_was_written_to_answers() {
    let mut written_to = scenario();
    written_to.starts = Opening::Agent;
    let stage = Stage { scenario: Some(written_to), verdict_in_turn: 2, ..Stage::default() };
    let outcome = outcome(stage.play(&request(&json!({}))).await);
    let roles: Vec<_> = outcome.messages.unwrap().into_iter().map(|message| message.role).collect();
    assert_eq!(roles, [MessageRole::Assistant, MessageRole::User, MessageRole::Assistant]);
}
