//! What calls cost.

use scenario_worker::events::Cost;
use serde_json::{Value, json};

use super::{chat, model, question, remote};
use crate::support::openai::{Answer, ModelServer};

fn usd(amount: f64) -> Cost {
    Cost::try_from(amount).unwrap()
}

/// The definition with a price of 2 dollars a million tokens in and 10 out for model `m`.
fn priced(mut definition: Value) -> Value {
    definition["prices"] = json!({ "m": { "inputPerMillion": 2, "outputPerMillion": 10 } });
    definition
}

#[tokio::test]
async fn a_reply_says_what_it_cost_by_the_tokens_that_were_counted() {
    let server = ModelServer::playing().await;
    let mut definition = priced(remote("openai", &server.base_url()));
    definition["sendFullName"] = json!(true);
    let reply = chat(definition, &question()).await.unwrap();
    // 11 tokens in, 7 out.
    assert_eq!(reply.usage.cost, usd(0.000_092));
}

#[tokio::test]
async fn a_model_without_a_price_costs_nothing() {
    let server = ModelServer::playing().await;
    let other = model(priced(remote("openai", &server.base_url())), "p/other").await;
    assert_eq!(other.chat(&question()).await.unwrap().usage.cost, Cost::ZERO);
    assert_eq!(other.name().to_string(), "p/other");
}

#[tokio::test]
async fn an_offline_model_costs_by_its_estimate_and_a_failed_call_stays_the_same_failure() {
    let offline = |script: Value| priced(json!({ "id": "p", "kind": "scripted", "models": { "m": script } }));
    // The question has 15 characters, which are 4 tokens; the line has 2.
    let reply = chat(offline(json!({ "replies": ["12345"] })), &question()).await.unwrap();
    assert_eq!(reply.usage.cost, usd(0.000_028));

    let server = ModelServer::answering([Answer::json(400, &json!({ "error": "no" }))]).await;
    let failure = chat(priced(remote("openai", &server.base_url())), &question()).await.unwrap_err();
    assert!(failure.message.ends_with("HTTP 400 Bad Request: no"), "{failure}");
}
