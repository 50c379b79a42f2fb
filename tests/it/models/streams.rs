//! Answers that come bit by bit, over real sockets.

use scenario_worker::events::{Cost, TokenUsage};
use scenario_worker::execution::types::{ChatOptions, ChatRequest};
use serde_json::{Value, json};

use super::{KEY, chat, question, remote};
use crate::support::openai::{Answer, ModelServer, Then};

const USAGE: TokenUsage =
    TokenUsage { input_tokens: 11, output_tokens: 7, calls: 1, cost: Cost::ZERO, unreported: 0, unpriced: 1 };

fn streamed() -> ChatRequest {
    ChatRequest { options: ChatOptions { stream: true, ..ChatOptions::default() }, ..question() }
}

fn delta(delta: &Value) -> Value {
    json!({ "id": "c_1", "model": "double-1", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

fn more(index: u64, arguments: &str) -> Value {
    json!({ "index": index, "function": { "arguments": arguments } })
}

/// Words, two calls whose arguments come in pieces, and the tokens behind them, without the end.
fn completion() -> Vec<Value> {
    let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 11, "completion_tokens": 7 } });
    vec![
        delta(&json!({ "role": "assistant", "content": "" })),
        delta(&json!({ "content": "Grüße, " })),
        delta(&json!({ "content": "one moment." })),
        delta(&json!({ "tool_calls": [call(0, "a", "look", "")] })),
        delta(&json!({ "tool_calls": [more(0, "{\"id\":")] })),
        delta(&json!({ "tool_calls": [more(0, "\"7\"}"), call(1, "b", "refund", "{}")] })),
        end,
        usage,
    ]
}

fn ended(mut events: Vec<Value>) -> Answer {
    events.push(Value::Null);
    Answer::events(
        events.into_iter().map(|event| if event.is_null() { "[DONE]".to_owned() } else { event.to_string() }),
    )
}

#[tokio::test]
async fn words_calls_and_tokens_of_chat_completions_are_put_together() {
    let server = ModelServer::answering([ended(completion())]).await;
    let reply = chat(remote("openai", &server.base_url()), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage), ("Grüße, one moment.", USAGE));
    let calls: Vec<_> = reply.tool_calls.iter().map(|c| (&*c.id, &*c.name, c.arguments.clone())).collect();
    assert_eq!(calls, [("a", "look", json!({ "id": "7" })), ("b", "refund", json!({}))]);
    assert_eq!((reply.model.as_deref(), reply.response_id.as_deref()), (Some("double-1"), Some("c_1")));
    assert_eq!(reply.finish_reason.as_deref(), Some("tool_calls"));
    assert!(reply.first_chunk.is_some(), "the time to the first words is known");
    let body = server.only_request().body;
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &json!({ "include_usage": true })));
}

fn message() -> Vec<Value> {
    let start = json!({ "id": "msg_1", "model": "claude-1", "content": [], "usage": { "input_tokens": 11, "output_tokens": 1 } });
    let begin = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let delta =
        |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    vec![
        json!({ "type": "message_start", "message": start }),
        begin(0, json!({ "type": "text", "text": "" })),
        json!({ "type": "ping" }),
        delta(0, json!({ "type": "text_delta", "text": "One " })),
        delta(0, json!({ "type": "text_delta", "text": "moment." })),
        begin(1, json!({ "type": "tool_use", "id": "toolu_1", "name": "look", "input": {} })),
        delta(1, json!({ "type": "input_json_delta", "partial_json": "{\"id\"" })),
        delta(1, json!({ "type": "input_json_delta", "partial_json": ":\"7\"}" })),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 7 } }),
        json!({ "type": "message_stop" }),
    ]
}

#[tokio::test]
async fn words_calls_and_tokens_of_anthropic_messages_are_put_together() {
    // The server may leave the connection open behind the end.
    let server = ModelServer::answering([Answer::events(message()).and_then(Then::Falls)]).await;
    let reply = chat(remote("anthropic", &server.origin()), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage), ("One moment.", USAGE));
    assert_eq!(
        (&*reply.tool_calls[0].id, &reply.tool_calls[0].arguments),
        ("toolu_1", &json!({ "id": "7" }))
    );
    assert_eq!(
        (reply.response_id.as_deref(), reply.finish_reason.as_deref()),
        (Some("msg_1"), Some("tool_use"))
    );
    assert!(reply.first_chunk.is_some());
    assert_eq!(server.only_request().body["stream"], true);
}

#[tokio::test]
async fn words_and_calls_of_gemini_are_put_together() {
    let parts =
        |parts: Value| json!({ "candidates": [{ "content": { "parts": parts } }], "responseId": "r_1" });
    let end = json!({
        "candidates": [{ "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 11, "candidatesTokenCount": 7 },
    });
    let events = [
        parts(json!([{ "text": "One " }])),
        parts(json!([{ "text": "moment." }, { "functionCall": { "name": "look", "args": { "id": "7" } } }])),
        end,
    ];
    let server = ModelServer::answering([Answer::events(events)]).await;
    let reply = chat(remote("gemini", &format!("{}/v1beta", server.origin())), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage), ("One moment.", USAGE));
    assert_eq!((&*reply.tool_calls[0].name, reply.finish_reason.as_deref()), ("look", Some("STOP")));
    assert_eq!(server.only_request().path, "/v1beta/models/m:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn a_server_that_answers_in_one_piece_all_the_same_is_heard() {
    let server = ModelServer::answering([Answer::says("In one piece.")]).await;
    let reply = chat(remote("openai", &server.base_url()), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.first_chunk), ("In one piece.", None));
}

/// A stream that ends like this, three times.
async fn failure_of(kind: &str, answer: Answer) -> String {
    let server = ModelServer::start(move |_| answer.clone()).await;
    let mut definition = remote(kind, &server.base_url());
    definition["idleTimeoutSeconds"] = json!(1);
    chat(definition, &streamed()).await.unwrap_err().message
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_never_half_an_answer_and_is_asked_for_again() {
    let half = || Answer::events(completion());
    let without_stop = || Answer::events(message().into_iter().take(9));
    let part =
        || Answer::events([json!({ "candidates": [{ "content": { "parts": [{ "text": "One" }] } }] })]);
    let ends = "after 3 tries: the answer broke off before its end";
    let (openai, anthropic, gemini, broken, silent) = tokio::join!(
        failure_of("openai", half()),
        failure_of("anthropic", without_stop()),
        failure_of("gemini", part()),
        failure_of("openai", half().and_then(Then::Breaks)),
        failure_of("openai", half().and_then(Then::Falls)),
    );
    for failure in [openai, anthropic, gemini] {
        assert!(failure.ends_with(ends), "{failure}");
    }
    assert!(broken.contains("after 3 tries: the connection broke: "), "{broken}");
    assert!(
        silent.ends_with("after 3 tries: nothing came for 1 seconds in the middle of the answer"),
        "{silent}"
    );
    let server = ModelServer::answering([half(), ended(completion())]).await;
    let reply = chat(remote("openai", &server.base_url()), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), server.received().len()), ("Grüße, one moment.", 2));
}

#[tokio::test]
async fn an_error_in_the_middle_is_the_provider_s_and_passes_where_it_says_so() {
    let error =
        |kind: &str, words: &str| json!({ "type": "error", "error": { "type": kind, "message": words } });
    let with = |error: Value| Answer::events(message().into_iter().take(4).chain([error]));
    let words = format!("not with {KEY}");
    let failure = failure_of("anthropic", with(error("invalid_request_error", &words))).await;
    assert!(failure.ends_with("after 1 try: the answer is an error: not with [redacted]"), "{failure}");
    let overloaded = with(error("overloaded_error", "Overloaded"));
    let server = ModelServer::answering([overloaded, Answer::events(message())]).await;
    let reply = chat(remote("anthropic", &server.origin()), &streamed()).await.unwrap();
    assert_eq!((reply.content.as_str(), server.received().len()), ("One moment.", 2));
    let in_chunks = Answer::events([json!({ "error": { "message": "no more", "code": 400 } })]);
    assert!(failure_of("openai", in_chunks).await.ends_with("after 1 try: the answer is an error: no more"));
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_says_so() {
    for (answer, words) in [
        (Answer::events(["{no json"]), "the answer is not JSON: "),
        (
            Answer::events(["[1]"]),
            "the answer cannot be put together: an event of the stream is no JSON object",
        ),
        (Answer::events(["[DONE]"]), "the answer has no choices"),
        (
            Answer::events(["x".repeat(2 * 1024 * 1024)]),
            "one event of the stream is larger than 1048576 bytes",
        ),
        (Answer::events([""; 0]).and_then(Then::Goes), "the answer is larger than 33554432 bytes"),
    ] {
        let failure = failure_of("openai", answer).await;
        assert!(failure.contains(&format!("after 1 try: {words}")), "{failure}");
    }
}

#[tokio::test]
async fn a_refusal_is_read_as_one() {
    let refused = Answer::json(401, &json!({ "error": { "message": format!("no such key {KEY}") } }));
    let failure = failure_of("openai", refused).await;
    assert!(failure.ends_with("HTTP 401 Unauthorized: no such key [redacted]"), "{failure}");
}
