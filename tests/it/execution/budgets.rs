//! What a run may cost.

use serde_json::json;

use scenario_worker::definitions::Project;
use scenario_worker::events::{Attribution, Budget, RunCompleted, RunStatus};

use crate::support::play::{Stage, project, request};

/// A run in which every call of a model takes 12 tokens, and whose judge asks for the verdict in the third turn.
async fn play(asked: serde_json::Value, of_project: Budget) -> RunCompleted {
    let project = Some(Project { budget: of_project, ..project() });
    let stage = Stage { project, verdict_in_turn: 3, ..Stage::default() };
    super::outcome(stage.play(&request(&asked)).await)
}

#[tokio::test]
async fn a_run_that_has_used_its_tokens_ends_before_the_next_call() {
    let outcome = play(json!({ "maxTokens": 24 }), Budget::default()).await;
    let error = outcome.error.unwrap();
    assert_eq!((error.code.as_str(), error.attributed_to), ("budget_exceeded", Attribution::Budget));
    assert!(
        error.message.contains("24 tokens") && error.message.contains("20 tokens in and 4 out"),
        "{}",
        error.message
    );
    assert_eq!((outcome.usage_total.calls, outcome.turns), (3, 2), "customer, agent, judge, and no more");
}

#[tokio::test]
async fn a_run_within_its_budget_is_judged() {
    let outcome = play(json!({ "maxTokens": 1_000, "maxCostUsd": 0.01 }), Budget::default()).await;
    assert_eq!(outcome.status, RunStatus::Success);
}

#[tokio::test]
async fn the_project_s_limit_holds_whatever_a_request_says() {
    let project = Budget { max_tokens: Some(24), max_cost_usd: None };
    let outcome = play(json!({ "maxTokens": 1_000 }), project).await;
    assert_eq!(outcome.error.unwrap().code, "budget_exceeded");
}
