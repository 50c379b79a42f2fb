//! The forms of answers over the three provider APIs, and what else a request may ask for.

use scenario_worker::definitions::Sampling;
use scenario_worker::execution::types::{AnswerForm, ChatRequest, ToolSpec};
use serde_json::{Value, json};

use super::{chat, forced, question, remote};
use crate::support::openai::{Answer, ModelServer};

fn spec() -> ToolSpec {
    forced().form.spec().unwrap().clone()
}

fn in_form(form: AnswerForm) -> ChatRequest {
    ChatRequest { form, ..question() }
}

fn thinking(seed: u64, effort: &str) -> ChatRequest {
    let reasoning_effort = Some(effort.to_owned());
    ChatRequest {
        sampling: Sampling { seed: Some(seed), reasoning_effort, ..Sampling::default() },
        ..question()
    }
}

/// The body that a provider of this kind is sent.
async fn sent(kind: &str, request: &ChatRequest) -> Value {
    let server = ModelServer::start(|_| Answer::json(400, &json!({}))).await;
    drop(chat(remote(kind, &server.base_url()), request).await.unwrap_err());
    server.received().remove(0).body
}

/// Its fields beside the model and what is said.
async fn extras(kind: &str, request: &ChatRequest) -> Value {
    let mut body = sent(kind, request).await;
    let fields = body.as_object_mut().unwrap();
    for field in ["model", "messages", "max_tokens", "system", "contents", "systemInstruction"] {
        fields.remove(field);
    }
    body
}

#[tokio::test]
async fn a_schema_is_enforced_in_each_providers_own_way() {
    let request = in_form(AnswerForm::Schema(spec()));
    let strict = json!({
        "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"],
        "additionalProperties": false,
    });
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "pick", "schema": strict, "strict": true } });
    assert_eq!(extras("openai", &request).await, json!({ "response_format": format }));
    let format = json!({ "type": "json_schema", "schema": strict });
    assert_eq!(extras("anthropic", &request).await, json!({ "output_config": { "format": format } }));
    let config = json!({ "responseMimeType": "application/json", "responseJsonSchema": spec().parameters });
    assert_eq!(extras("gemini", &request).await, json!({ "generationConfig": config }));
}

#[tokio::test]
async fn json_that_only_the_messages_ask_for_leaves_no_trace_on_the_wire() {
    for kind in ["openai", "anthropic", "gemini"] {
        let json = sent(kind, &in_form(AnswerForm::Json(spec()))).await;
        assert_eq!(json, sent(kind, &question()).await, "{kind}");
    }
}

#[tokio::test]
async fn an_answer_by_schema_is_its_text() {
    let server = ModelServer::answering([Answer::says("{\"n\":3}")]).await;
    let request = in_form(AnswerForm::Schema(spec()));
    let reply = chat(remote("openai", &server.base_url()), &request).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.tool_calls.len()), ("{\"n\":3}", 0));
}

#[tokio::test]
async fn seed_and_effort_go_where_a_provider_takes_them() {
    let request = thinking(7, "low");
    assert_eq!(extras("openai", &request).await, json!({ "seed": 7, "reasoning_effort": "low" }));
    assert_eq!(extras("anthropic", &request).await, json!({ "output_config": { "effort": "low" } }));
    let config = json!({ "seed": 7, "thinkingConfig": { "thinkingLevel": "low" } });
    assert_eq!(extras("gemini", &request).await, json!({ "generationConfig": config }));
}

#[tokio::test]
async fn no_reasoning_is_a_word_of_chat_completions_and_a_large_seed_fits_the_others() {
    let request = thinking(u64::from(u32::MAX) + 2, "none");
    let asked = json!({ "seed": 4_294_967_297_u64, "reasoning_effort": "none" });
    assert_eq!(extras("openai", &request).await, asked);
    assert_eq!(extras("anthropic", &request).await, json!({}));
    assert_eq!(extras("gemini", &request).await, json!({ "generationConfig": { "seed": 1 } }));
}

#[tokio::test]
async fn a_refused_form_is_told_apart_from_other_refusals() {
    let forms = [AnswerForm::Tool(spec()), AnswerForm::Schema(spec()), AnswerForm::Json(spec())];
    for (status, refused) in [
        (400, true),
        (404, true),
        (405, true),
        (415, true),
        (422, true),
        (401, false),
        (403, false),
        (413, false),
    ] {
        let server = ModelServer::start(move |_| Answer::json(status, &json!({ "error": "no" }))).await;
        let definition = || remote("openai", &server.base_url());
        for form in forms.clone() {
            let failure = chat(definition(), &in_form(form)).await.unwrap_err();
            assert_eq!(failure.refused, refused, "{failure}");
        }
        let failure = chat(definition(), &question()).await.unwrap_err();
        assert!(!failure.refused, "there is no other form than words: {failure}");
    }
}

#[tokio::test]
async fn a_server_that_lacks_a_feature_refuses_the_form_and_one_that_fails_does_not() {
    for (status, refused) in [(501, true), (500, false), (429, false)] {
        let server = ModelServer::start(move |_| Answer::json(status, &json!({ "error": "no" }))).await;
        let failure = chat(remote("openai", &server.base_url()), &forced()).await.unwrap_err();
        assert_eq!(failure.refused, refused, "{failure}");
    }
}
