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

fn spec(tool: &str) -> ToolSpec {
    ToolSpec { name: tool.to_owned(), description: String::new(), parameters: json!({}) }
}

fn judging(form: AnswerForm, said: &[&str]) -> ChatRequest {
    let transcript: Vec<_> = said.iter().map(|line| (Assistant, *line)).collect();
    ChatRequest { form, scene: scene(SceneRole::Judge, 1, &transcript, &CRITERIA), ..question() }
}

async fn judge(script: &Value, tool: &str, said: &[&str]) -> Value {
    let request = judging(AnswerForm::Tool(spec(tool)), said);
    let mut reply = chat(definition(script), &request).await.unwrap();
    let call = reply.tool_calls.remove(0);
    assert_eq!((call.name.as_str(), reply.tool_calls.len()), (tool, 0));
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
            "requirement": CRITERIA[0], "evidence": [{ "message": 0, "quote": "I am so sorry." }],
            "reasoning": "The agent said “I am so sorry.”.", "status": "met",
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
    let quote = verdict["criteria"]["c1"]["evidence"][0]["quote"].as_str().unwrap();
    assert_eq!(quote, format!("sorry {}", "é".repeat(114)), "word for word, so without the dots");
}

#[tokio::test]
async fn a_judgement_rests_on_the_line_that_decided_it_else_on_the_last_one() {
    let said = ["Hello!", "I am SORRY.", "Anything else?"];
    let transcript = [(Assistant, said[0]), (User, "sorry?"), (Assistant, said[1]), (Assistant, said[2])];
    let scene = scene(SceneRole::Judge, 1, &transcript, &CRITERIA);
    let request = ChatRequest { form: AnswerForm::Json(spec(VERDICT_TOOL)), scene, ..question() };
    let evidence = async |script: &Value| {
        let reply = chat(definition(script), &request).await.unwrap();
        let verdict: Value = serde_json::from_str(&reply.content).unwrap();
        ["c1", "c2", "c3"].map(|id| verdict["criteria"][id]["evidence"].clone())
    };
    let last = json!([{ "message": 3, "quote": said[2] }]);
    let mut script = verdicts();
    assert_eq!(evidence(&script).await, [json!([{ "message": 2, "quote": said[1] }]), last.clone(), last]);
    script["otherwise"] = json!("inconclusive");
    script["verdicts"][0]["metIf"] = json!("refund");
    script["verdicts"][1]["unmetIf"] = json!("hello");
    let broke_it = json!([{ "message": 0, "quote": said[0] }]);
    assert_eq!(evidence(&script).await, [json!([]), broke_it, json!([])], "what was never said has no quote");
}

#[tokio::test]
async fn invented_quotes_are_no_part_of_what_was_said() {
    let mut script = verdicts();
    script["inventsQuotes"] = json!(true);
    let verdict = judge(&script, VERDICT_TOOL, &["I am so sorry.", "What is your password?"]).await;
    let quote = |id: &str| verdict["criteria"][id]["evidence"][0]["quote"].clone();
    assert!(quote("c1").as_str().unwrap().contains("never said"), "{verdict}");
    assert_eq!(quote("c2"), "What is your password?", "only what is met is invented");
}

#[tokio::test]
async fn a_judge_answers_in_the_form_that_is_asked_for() {
    let said = ["I am so sorry."];
    let called = judge(&verdicts(), VERDICT_TOOL, &said).await;
    for form in [AnswerForm::Schema(spec(VERDICT_TOOL)), AnswerForm::Json(spec(VERDICT_TOOL))] {
        let reply = chat(definition(&verdicts()), &judging(form, &said)).await.unwrap();
        assert_eq!(reply.content, called.to_string());
        assert!(reply.tool_calls.is_empty());
        assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
    }
}

#[tokio::test]
async fn a_form_that_the_script_refuses_is_refused_as_a_provider_does() {
    let mut script = verdicts();
    script["refuses"] = json!(["tool", "schema"]);
    for form in [AnswerForm::Tool(spec(VERDICT_TOOL)), AnswerForm::Schema(spec(VERDICT_TOOL))] {
        let failure = chat(definition(&script), &judging(form, &[])).await.unwrap_err();
        assert!(
            failure.refused && failure.message.contains("HTTP 400 Bad Request: this model does not support")
        );
    }
    assert!(chat(definition(&script), &judging(AnswerForm::Json(spec(VERDICT_TOOL)), &[])).await.is_ok());
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
