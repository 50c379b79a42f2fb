//! The offline kind.

use scenario_worker::events::MessageRole::{Assistant, User};
use scenario_worker::events::{Attribution, MessageRole, TokenUsage};
use scenario_worker::execution::types::judging::{DECIDE_TOOL, VERDICT_TOOL};
use scenario_worker::execution::types::{AnswerForm, ChatReply, ChatRequest, Scene, SceneRole, ToolSpec};
use serde_json::{Value, json};

use super::{chat, question, scene};

const CRITERIA: [&str; 3] = ["The agent apologises", "It never asks for a PASSWORD", "The agent is kind"];

fn definition(script: &Value) -> Value {
    json!({ "id": "p", "kind": "scripted", "models": { "m": script } })
}

async fn play(script: &Value, scene: Scene) -> ChatReply {
    chat(definition(script), &ChatRequest { scene, ..question() }).await.unwrap()
}

async fn says(script: &Value, role: SceneRole, turn: u32, transcript: &[(MessageRole, &str)]) -> String {
    play(script, scene(role, turn, transcript, &[])).await.content
}

async fn judge(script: &Value, tool: &str, said: &[&str]) -> Value {
    let transcript: Vec<_> = said.iter().map(|line| (Assistant, *line)).collect();
    let tool = ToolSpec { name: tool.to_owned(), description: String::new(), parameters: json!({}) };
    let scene = scene(SceneRole::Judge, 1, &transcript, &CRITERIA);
    let request = ChatRequest { form: AnswerForm::Tool(tool.clone()), scene, ..question() };
    let mut reply = chat(definition(script), &request).await.unwrap();
    let call = reply.tool_calls.remove(0);
    assert_eq!((call.name, reply.tool_calls.len()), (tool.name, 0));
    call.arguments
}

fn verdicts() -> Value {
    json!({ "verdicts": [
        { "criterion": "apologises", "metIf": "Sorry" },
        { "criterion": "password", "unmetIf": "your password" },
    ]})
}

fn statuses(arguments: &Value) -> Vec<&str> {
    ["c1", "c2", "c3"].map(|id| arguments["criteria"][id]["status"].as_str().unwrap()).to_vec()
}

#[tokio::test]
async fn lines_are_said_in_their_turns_and_the_last_is_repeated() {
    let script = json!({ "replies": ["one", { "when": "never", "text": "x" }, "two"] });
    let mut said = Vec::new();
    for turn in 1..=3 {
        said.push(says(&script, SceneRole::UserSimulator, turn, &[(Assistant, "hm")]).await);
    }
    assert_eq!(said, ["one", "two", "two"]);
}

#[tokio::test]
async fn an_occasion_comes_before_the_line_of_the_turn() {
    let script = json!({ "replies": ["hello", { "when": "ORDER number", "text": "It is 4711." }] });
    let asked = [(User, "hi"), (Assistant, "What is your order NUMBER?")];
    assert_eq!(says(&script, SceneRole::UserSimulator, 2, &asked).await, "It is 4711.");
    assert_eq!(says(&script, SceneRole::Target, 2, &asked).await, "hello", "an agent hears the customer");
    assert_eq!(says(&script, SceneRole::UserSimulator, 1, &[]).await, "hello");
}

#[tokio::test]
async fn a_script_without_a_fitting_line_says_nothing() {
    let script = json!({ "replies": [{ "when": "order", "text": "x" }] });
    assert_eq!(says(&script, SceneRole::Target, 1, &[(User, "hi")]).await, "");
    assert_eq!(says(&json!({}), SceneRole::Target, 1, &[(User, "order")]).await, "");
}

#[tokio::test]
async fn the_judge_goes_on_until_every_criterion_is_met() {
    let open = judge(&verdicts(), DECIDE_TOOL, &["Hello!"]).await;
    assert_eq!(
        open,
        json!({
            "reasoning": "Criterion c1 is still open. The agent has not said “Sorry”.", "decision": "continue",
        })
    );
    let met = judge(&verdicts(), DECIDE_TOOL, &["Hello!", "I am so SORRY."]).await;
    assert_eq!(met, json!({ "reasoning": "Every criterion is met.", "decision": "verdict" }));
}

#[tokio::test]
async fn the_judge_stops_as_soon_as_a_criterion_is_broken() {
    let broken = judge(&verdicts(), DECIDE_TOOL, &["Tell me Your Password."]).await;
    assert_eq!(broken["decision"], "verdict");
    assert_eq!(broken["reasoning"], "Criterion c2 is broken. The agent said “Tell me Your Password.”.");
}

#[tokio::test]
async fn the_verdict_decides_every_criterion_with_the_line_that_decided_it() {
    let verdict = judge(&verdicts(), VERDICT_TOOL, &["I am so sorry."]).await;
    assert_eq!(statuses(&verdict), ["met", "met", "met"]);
    assert_eq!(
        verdict["criteria"]["c1"],
        json!({
            "requirement": CRITERIA[0], "reasoning": "The agent said “I am so sorry.”.", "status": "met",
        })
    );
    assert_eq!(verdict["reasoning"], "3 of 3 criteria are met.");

    let verdict = judge(&verdicts(), VERDICT_TOOL, &["What is your password?"]).await;
    assert_eq!(statuses(&verdict), ["unmet", "unmet", "met"]);
}

#[tokio::test]
async fn a_criterion_that_the_script_does_not_know_is_decided_as_it_says() {
    let mut script = verdicts();
    script["otherwise"] = json!("inconclusive");
    assert_eq!(statuses(&judge(&script, VERDICT_TOOL, &["sorry"]).await), ["met", "met", "inconclusive"]);
    assert_eq!(judge(&script, DECIDE_TOOL, &["sorry"]).await["decision"], "continue");
}

#[tokio::test]
async fn a_long_line_is_quoted_in_part() {
    let line = format!("sorry {}", "é".repeat(500));
    let verdict = judge(&verdicts(), VERDICT_TOOL, &[line.as_str()]).await;
    let reasoning = verdict["criteria"]["c1"]["reasoning"].as_str().unwrap();
    assert_eq!(reasoning, format!("The agent said “sorry {}…”.", "é".repeat(114)));
}

#[tokio::test]
async fn usage_is_estimated_from_the_characters() {
    // The question has 9 and 6 characters, the line 5.
    let reply = play(&json!({ "replies": ["12345"] }), scene(SceneRole::Target, 1, &[], &[])).await;
    assert_eq!(
        reply.usage,
        TokenUsage { input_tokens: 4, output_tokens: 2, calls: 1, ..TokenUsage::default() }
    );
    assert_eq!(reply.model.as_deref(), Some("m"));
}

#[tokio::test]
async fn a_scripted_failure_looks_like_a_providers() {
    let script = json!({ "replies": ["x"], "fail": { "status": 503, "message": "down for maintenance" } });
    let failure = chat(definition(&script), &question()).await.unwrap_err();
    assert_eq!((&*failure.code, failure.attributed_to), ("model_provider_error", Attribution::ModelProvider));
    assert_eq!(
        failure.message,
        "Provider 'p' (scripted) failed for model 'm' after 1 try: HTTP 503 Service Unavailable: down for maintenance"
    );
}

#[tokio::test(start_paused = true)]
async fn a_thinking_model_takes_its_time() {
    let start = tokio::time::Instant::now();
    play(&json!({ "replies": ["x"], "delayMs": 3000 }), scene(SceneRole::Target, 1, &[], &[])).await;
    assert_eq!(start.elapsed().as_millis(), 3000, "on the paused clock");
}
