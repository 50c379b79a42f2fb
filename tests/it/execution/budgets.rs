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

#[tokio::test]
async fn calls_that_come_to_nothing_are_paid_from_the_budget_too() {
    // Each answer is one that nobody can use, so the customer is asked again: three times without a budget.
    let stage = Stage { customer: "How can I help you today?", ..Stage::default() };
    let outcome = super::outcome(stage.play(&request(&json!({ "maxTokens": 24 }))).await);
    assert_eq!(outcome.error.unwrap().code, "budget_exceeded");
    assert_eq!((outcome.usage.user_simulator.calls, outcome.usage_total.tokens()), (2, 24));
}

#[tokio::test]
async fn a_budget_of_nothing_pays_for_nothing() {
    let outcome = play(json!({ "maxCostUsd": 0 }), Budget::default()).await;
    assert_eq!((outcome.error.unwrap().code.as_str(), outcome.usage_total.calls), ("budget_exceeded", 0));
}

#[tokio::test]
async fn a_limit_on_money_needs_models_whose_price_is_known() {
    let models = json!({ "models": { "judge": "unpriced/model" }, "maxCostUsd": 1 });
    let error = play(models, Budget::default()).await.error.unwrap();
    assert_eq!((error.code.as_str(), error.attributed_to), ("budget_unmeasured", Attribution::Definition));
    assert!(error.message.contains("unpriced/model"), "{}", error.message);
    let tokens = json!({ "models": { "judge": "unpriced/model" }, "maxTokens": 1_000 });
    assert_eq!(play(tokens, Budget::default()).await.status, RunStatus::Success);
}
