//! The sample agent of the demo: a shop's support over HTTP, on rules. One of its routes is out of order.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the customer's line may contain, and what the agent says then.
const RULES: [(&str, &str); 5] = [
    ("money back", "Thank you. I refund you the full 12.50 EUR for order 4711; it is on its way."),
    ("broken", "I am sorry about your mug! Could you give me the order number?"),
    ("where is it", "It left our depot in Lyon this morning and should reach you soon."),
    ("what do you do for me", "Please wait three more days, then write to us again."),
    ("thank", "You are welcome."),
];
const OTHERWISE: &str = "Could you tell me a little more?";

#[derive(Debug, Deserialize)]
struct Question {
    message: String,
}

/// The agent's routes.
pub(super) fn router() -> Router {
    Router::new().route("/chat", post(chat)).route("/broken", post(broken))
}

async fn chat(Json(question): Json<Question>) -> Json<Value> {
    let line = question.message.to_lowercase();
    let answer = RULES.iter().find(|(words, _)| line.contains(words)).map_or(OTHERWISE, |(_, answer)| answer);
    Json(json!({ "reply": answer }))
}

async fn broken() -> (StatusCode, [(&'static str, &'static str); 1], Json<Value>) {
    let body = Json(json!({ "error": "the inventory database is down" }));
    (StatusCode::INTERNAL_SERVER_ERROR, [("x-request-id", "demo-4712")], body)
}
