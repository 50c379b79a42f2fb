//! What is sent over the three provider APIs, and what is made of the answers.

use std::process::Command;

use scenario_worker::events::{Cost, TokenUsage};
use scenario_worker::execution::types::{AnswerForm, SpecialTokens, VERDICT_TOOL};
use serde_json::{Value, json};

use super::{KEY, chat, forced, model, question, remote};
use crate::support::openai::{Answer, LINE, ModelServer};

const USAGE: TokenUsage =
    TokenUsage { input_tokens: 11, output_tokens: 7, calls: 1, cost: Cost::ZERO, unreported: 0, unpriced: 1 };

#[tokio::test]
async fn a_tool_is_forced_and_parsed_over_chat_completions() {
    let server = ModelServer::answering([Answer::calls("pick", &json!({ "n": 3 }))]).await;
    let reply = chat(remote("openai", &server.base_url()), &forced()).await.unwrap();

    assert_eq!(reply.tool_calls[0].name, "pick");
    assert_eq!(reply.tool_calls[0].arguments, json!({ "n": 3 }));
    assert_eq!((reply.content.as_str(), reply.usage), ("", USAGE));
    assert_eq!(reply.model.as_deref(), Some("double-1"));
    assert_eq!(reply.response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(reply.finish_reason.as_deref(), Some("tool_calls"));

    let request = server.only_request();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), format!("Bearer {KEY}"));
    let parameters = forced().form.spec().unwrap().parameters.clone();
    assert_eq!(
        request.body,
        json!({
            "model": "m",
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Hello?" }],
            "temperature": 0.5,
            "max_tokens": 64,
            "tools": [{ "type": "function", "function": {
                "name": "pick", "description": "Picks a number.", "parameters": parameters,
            }}],
            "tool_choice": "required",
        })
    );
}

#[tokio::test]
async fn a_tool_is_forced_and_parsed_over_anthropic_messages() {
    let answer = json!({
        "id": "msg_1", "model": "claude-1", "stop_reason": "tool_use",
        "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s" },
            { "type": "text", "text": "I pick." },
            { "type": "tool_use", "id": "toolu_1", "name": "pick", "input": { "n": 3 } },
        ],
        "usage": { "input_tokens": 8, "cache_read_input_tokens": 3, "output_tokens": 7 },
    });
    let server = ModelServer::answering([Answer::json(200, &answer)]).await;
    let reply = chat(remote("anthropic", &server.origin()), &forced()).await.unwrap();

    assert_eq!(reply.tool_calls[0].id, "toolu_1");
    assert_eq!(reply.tool_calls[0].arguments, json!({ "n": 3 }));
    assert_eq!((reply.content.as_str(), reply.usage), ("I pick.", USAGE));
    assert_eq!(reply.model.as_deref(), Some("claude-1"));
    assert_eq!(reply.response_id.as_deref(), Some("msg_1"));
    assert_eq!(reply.finish_reason.as_deref(), Some("tool_use"));

    let request = server.only_request();
    assert_eq!(request.path, "/v1/messages");
    assert_eq!((request.header("x-api-key"), request.header("anthropic-version")), (KEY, "2023-06-01"));
    let schema = forced().form.spec().unwrap().parameters.clone();
    assert_eq!(
        request.body,
        json!({
            "model": "m",
            "max_tokens": 64,
            "system": "Be brief.",
            "messages": [{ "role": "user", "content": "Hello?" }],
            "temperature": 0.5,
            "tools": [{ "name": "pick", "description": "Picks a number.", "input_schema": schema }],
            "tool_choice": { "type": "any" },
        })
    );
}

#[tokio::test]
async fn a_tool_is_forced_and_parsed_over_gemini() {
    let answer = json!({
        "responseId": "r_1", "modelVersion": "gemini-1",
        "candidates": [{ "finishReason": "STOP", "content": { "role": "model", "parts": [
            { "text": "hm", "thought": true },
            { "functionCall": { "name": "pick", "args": { "n": 3 } } },
        ]}}],
        "usageMetadata": { "promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 3 },
    });
    let server = ModelServer::answering([Answer::json(200, &answer)]).await;
    let base_url = format!("{}/v1beta/", server.origin());
    let reply = chat(remote("gemini", &base_url), &forced()).await.unwrap();

    assert_eq!(reply.tool_calls[0].name, "pick");
    assert_eq!(reply.tool_calls[0].arguments, json!({ "n": 3 }));
    assert_eq!((reply.content.as_str(), reply.usage), ("", USAGE));
    assert_eq!(reply.model.as_deref(), Some("gemini-1"));
    assert_eq!(reply.response_id.as_deref(), Some("r_1"));
    assert_eq!(reply.finish_reason.as_deref(), Some("STOP"));

    let request = server.only_request();
    assert_eq!(request.path, "/v1beta/models/m:generateContent");
    assert_eq!(request.header("x-goog-api-key"), KEY);
    let schema = forced().form.spec().unwrap().parameters.clone();
    assert_eq!(
        request.body,
        json!({
            "contents": [{ "role": "user", "parts": [{ "text": "Hello?" }] }],
            "systemInstruction": { "parts": [{ "text": "Be brief." }] },
            "generationConfig": { "temperature": 0.5, "maxOutputTokens": 64 },
            "tools": [{ "functionDeclarations": [{
                "name": "pick", "description": "Picks a number.", "parametersJsonSchema": schema,
            }]}],
            "toolConfig": { "functionCallingConfig": { "mode": "ANY" } },
        })
    );
}

/// What a provider that answers so says of special tokens.
async fn special(kind: &str, answer: &Value) -> SpecialTokens {
    let server = ModelServer::answering([Answer::json(200, answer)]).await;
    chat(remote(kind, &server.base_url()), &question()).await.unwrap().special
}

#[tokio::test]
async fn tokens_of_caches_and_of_thoughts_are_counted_where_the_provider_says_so() {
    let openai = |usage: Value| json!({ "choices": [{ "message": { "content": "hi" } }], "usage": usage });
    let details = json!({
        "prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": { "cached_tokens": 4 },
        "completion_tokens_details": { "reasoning_tokens": 5 },
    });
    let known = SpecialTokens { cache_read: Some(4), cache_creation: None, reasoning: Some(5) };
    assert_eq!(special("openai", &openai(details)).await, known);
    for nothing in [json!({}), json!({ "prompt_tokens_details": null, "completion_tokens_details": [1] })] {
        assert_eq!(special("openai", &openai(nothing)).await, SpecialTokens::default());
    }
    let anthropic = json!({
        "content": [{ "type": "text", "text": "hi" }],
        "usage": { "input_tokens": 8, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2 },
    });
    let known = SpecialTokens { cache_read: Some(3), cache_creation: Some(2), reasoning: None };
    assert_eq!(special("anthropic", &anthropic).await, known);
    let gemini = json!({
        "candidates": [{ "content": { "parts": [{ "text": "hi" }] } }],
        "usageMetadata": { "promptTokenCount": 9, "cachedContentTokenCount": 6, "thoughtsTokenCount": 1 },
    });
    let known = SpecialTokens { cache_read: Some(6), cache_creation: None, reasoning: Some(1) };
    assert_eq!(special("gemini", &gemini).await, known);
}

#[tokio::test]
async fn text_instead_of_a_forced_tool_is_returned_as_it_is() {
    let server = ModelServer::answering([Answer::says("I would rather talk.")]).await;
    let reply = chat(remote("openai", &server.base_url()), &forced()).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.tool_calls.len()), ("I would rather talk.", 0));
}

#[tokio::test]
async fn arguments_that_are_not_json_are_kept_as_the_model_wrote_them() {
    let call = json!({ "function": { "name": "pick", "arguments": "{\"n\": 3" } });
    let answer = json!({ "choices": [{ "message": { "tool_calls": [call] } }] });
    let server = ModelServer::answering([Answer::json(200, &answer)]).await;
    let reply = chat(remote("openai", &server.base_url()), &forced()).await.unwrap();
    assert_eq!(reply.tool_calls[0].arguments, json!("{\"n\": 3"));
    assert_eq!(reply.usage, TokenUsage { calls: 1, unreported: 1, unpriced: 1, ..TokenUsage::default() });
}

#[tokio::test]
async fn a_question_without_a_tool_sends_only_what_was_asked_for() {
    let server = ModelServer::playing().await;
    let base_url = format!("{}/", server.base_url());
    let definition = json!({ "id": "p", "kind": "openai", "baseUrl": base_url });
    let reply = chat(definition, &question()).await.unwrap();

    assert_eq!(reply.content, LINE);
    let request = server.only_request();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), "", "a provider without a key gets none");
    assert_eq!(request.header("traceparent"), "", "no trace travels to a provider");
    let keys: Vec<&String> = request.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["model", "messages"]);
}

#[tokio::test]
async fn the_provider_prefix_is_sent_only_where_the_definition_asks_for_it() {
    let server = ModelServer::playing().await;
    let mut definition = remote("openai", &server.base_url());
    model(definition.clone(), "p/meta/llama").await.chat(&question()).await.unwrap();
    definition["sendFullName"] = json!(true);
    model(definition, "p/meta/llama").await.chat(&question()).await.unwrap();

    let names: Vec<_> = server.received().into_iter().map(|request| request.body["model"].clone()).collect();
    assert_eq!(names, ["meta/llama", "p/meta/llama"]);
}

#[test]
fn proxies_and_keys_of_the_environment_are_not_used() {
    // The environment of this process is shared by all tests, so the hostile one is a child's.
    let test = "models::wires::a_tool_is_forced_and_parsed_over_chat_completions";
    let nowhere = "http://127.0.0.1:9";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .envs(
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, nowhere)),
        )
        .envs([("OPENAI_API_KEY", "sk-of-the-worker"), ("OPENAI_BASE_URL", nowhere)])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[tokio::test]
async fn the_double_plays_a_judge_who_is_content_with_every_criterion() {
    let server = ModelServer::playing().await;
    let mut request = forced();
    let AnswerForm::Tool(tool) = &mut request.form else { panic!("no tool is forced") };
    tool.name = VERDICT_TOOL.to_owned();
    tool.parameters = json!({ "properties": { "criteria": { "properties": { "c1": {}, "c2": {} } } } });
    let reply = chat(remote("openai", &server.base_url()), &request).await.unwrap();
    let criteria = reply.tool_calls[0].arguments["criteria"].as_object().unwrap().clone();
    assert_eq!(criteria.keys().collect::<Vec<_>>(), ["c1", "c2"]);
    assert!(criteria.values().all(|criterion| criterion["status"] == "met"));
}
