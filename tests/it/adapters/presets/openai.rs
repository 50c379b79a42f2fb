//! Agents behind the two interfaces of `OpenAI`.

use serde_json::{Value, json};

use super::{Talk, ask, then};
use crate::adapters::stage::{LINE, dialogue, history, with};
use crate::support::openai::{Answer, ModelServer};

fn chat(server: &ModelServer) -> Value {
    json!({ "url": server.base_url(), "model": "shop-1", "auth": { "type": "bearer", "token": "{{ secrets.KEY }}" } })
}

fn stream(events: &[&str]) -> Answer {
    let body: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    Answer::text(200, "text/event-stream; charset=utf-8", &body.concat())
}

fn response(id: &str, output: &Value) -> Value {
    json!({ "id": id, "status": "completed", "output": output, "usage": { "input_tokens": 5, "output_tokens": 2 } })
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
}

#[tokio::test]
async fn chat_completions_get_the_conversation_and_give_words_and_tokens() {
    let server = ModelServer::answering([Answer::says("Sorry!")]).await;
    let body = json!({ "temperature": 0, "user": "{{ threadId }}", "metadata": { "region": "{{ params.region }}" } });
    let reply = ask("openai_chat", with(chat(&server), json!({ "body": body }))).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens),
        ("Sorry!", 11, 7)
    );
    let request = server.only_request();
    assert_eq!(
        (request.path.as_str(), request.header("authorization")),
        ("/v1/chat/completions", "Bearer k-very-secret-123")
    );
    assert_eq!(request.header("idempotency-key"), "run-1:2");
    let expected = json!({
        "temperature": 0, "user": "run-1", "metadata": { "region": "eu" }, "model": "shop-1", "messages": history(LINE),
    });
    assert_eq!(request.body, expected);
}

#[tokio::test]
async fn the_whole_path_may_be_in_the_url() {
    let server = ModelServer::answering([Answer::says("Yes")]).await;
    let url = format!("{}/agents/7/chat/completions?v=2", server.origin());
    ask("openai_chat", json!({ "url": url })).await.unwrap();
    assert_eq!(server.only_request().path, "/agents/7/chat/completions?v=2");
}

#[tokio::test]
async fn tool_calls_of_chat_completions_are_recorded() {
    let server = ModelServer::answering([Answer::calls("refund", &json!({ "order": 7 }))]).await;
    let reply = ask("openai_chat", chat(&server)).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.tool_calls.len()), ("", 1));
    let call = &reply.tool_calls[0];
    assert_eq!(
        (call.id.as_str(), call.name.as_str(), &call.arguments),
        ("call_1", "refund", &json!({ "order": 7 }))
    );
}

#[tokio::test]
async fn streamed_chat_completions_are_put_together() {
    let server = ModelServer::answering([stream(&[
        r#"{"choices":[{"delta":{"role":"assistant","content":"Sor"}}]}"#,
        r#"{"choices":[{"delta":{"content":"ry!"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"refund","arguments":"{\"or"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"c2","function":{"name":"mail","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"der\":7}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":null,"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
        "[DONE]",
    ])])
    .await;
    let reply = ask("openai_chat", with(chat(&server), json!({ "stream": true }))).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens),
        ("Sorry!", 9, 4)
    );
    let calls: Vec<_> =
        reply.tool_calls.iter().map(|call| (call.name.as_str(), call.arguments.clone())).collect();
    assert_eq!(calls, [("refund", json!({ "order": 7 })), ("mail", json!({}))]);
    let body = server.only_request().body;
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &json!({ "include_usage": true })));
}

#[tokio::test]
async fn a_stream_that_nothing_ends_was_cut_off_and_one_that_ends_without_a_marker_was_not() {
    for (events, code) in [
        (vec![r#"{"choices":[{"delta":{"content":"Sor"}}]}"#], Some("http_invalid_response")),
        (vec![], Some("http_invalid_response")),
        (vec![r#"{"choices":[{"delta":{"content":"Yes"},"finish_reason":"stop"}]}"#], None),
        (vec![r#"{"error":{"message":"overloaded","type":"server_error"}}"#], Some("agent_error")),
        (vec!["not json"], Some("http_invalid_response")),
        (vec!["[DONE]"], Some("http_invalid_response")),
    ] {
        let server = ModelServer::answering([stream(&events)]).await;
        let answer = ask("openai_chat", with(chat(&server), json!({ "stream": true }))).await;
        let found = answer.as_ref().err().map(|failure| failure.code.as_ref());
        assert_eq!(found, code, "{events:?}: {answer:?}");
    }
}

#[tokio::test]
async fn errors_of_chat_completions_are_told_in_the_server_s_words() {
    let error = json!({ "error": { "message": "model not found", "code": "model_not_found" } });
    let server = ModelServer::answering([Answer::json(404, &error), Answer::json(200, &error)]).await;
    let refused = ask("openai_chat", chat(&server)).await.unwrap_err();
    assert_eq!(refused.code, "http_status");
    assert!(
        refused.message.starts_with("HTTP 404 Not Found from ")
            && refused.message.contains("model not found"),
        "{refused}"
    );
    let failed = ask("openai_chat", chat(&server)).await.unwrap_err();
    assert_eq!(failed.code, "agent_error");
    assert!(failed.message.ends_with("reports an error: model not found (model_not_found)"), "{failed}");
}

#[tokio::test]
async fn responses_go_on_from_the_one_before() {
    let answers = ["r1", "r2"].map(|id| Answer::json(200, &response(id, &json!([message("Yes")]))));
    let server = ModelServer::answering(answers).await;
    let mut talk = Talk::with("openai_responses", chat(&server)).await;
    let first = dialogue(LINE);
    let reply = talk.say(&first).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens), ("Yes", 5, 2));
    talk.say(&then(&first, "Yes", "And?")).await.unwrap();
    let requests = server.received();
    assert_eq!(requests[0].path, "/v1/responses");
    assert_eq!(requests[0].body, json!({ "model": "shop-1", "input": history(LINE) }));
    let second = json!({
        "model": "shop-1", "input": [{ "role": "user", "content": "And?" }], "previous_response_id": "r1",
    });
    assert_eq!(requests[1].body, second);
}

#[tokio::test]
async fn responses_get_all_of_it_where_the_server_keeps_nothing_or_waits_for_a_function() {
    let call =
        json!({ "type": "function_call", "call_id": "c1", "name": "refund", "arguments": "{\"order\":7}" });
    for (more, output) in
        [(json!({ "history": "full" }), json!([message("Yes")])), (json!({}), json!([message("Yes"), call]))]
    {
        let answers = ["r1", "r2"].map(|id| Answer::json(200, &response(id, &output)));
        let server = ModelServer::answering(answers).await;
        let mut talk = Talk::with("openai_responses", with(chat(&server), more)).await;
        let first = dialogue(LINE);
        let reply = talk.say(&first).await.unwrap();
        assert!(
            reply.tool_calls.iter().all(|call| call.id == "c1" && call.arguments == json!({ "order": 7 }))
        );
        talk.say(&then(&first, "Yes", "And?")).await.unwrap();
        let body = server.received()[1].body.clone();
        assert_eq!((body["input"].as_array().unwrap().len(), body.get("previous_response_id")), (5, None));
    }
}

#[tokio::test]
async fn a_run_that_goes_on_elsewhere_goes_on_from_the_response_before() {
    let answers = ["r1", "r2"].map(|id| Answer::json(200, &response(id, &json!([message("Yes")]))));
    let server = ModelServer::answering(answers).await;
    let mut talk = Talk::with("openai_responses", chat(&server)).await;
    let first = dialogue(LINE);
    talk.say(&first).await.unwrap();
    let mut elsewhere = talk.elsewhere("openai_responses", chat(&server)).await;
    elsewhere.say(&then(&first, "Yes", "And?")).await.unwrap();
    assert_eq!(server.received()[1].body["previous_response_id"], "r1");
}

#[tokio::test]
async fn a_streamed_response_is_the_one_that_ends_it() {
    let event = |kind: &str, more: Value| with(json!({ "type": kind }), more).to_string();
    let done =
        event("response.completed", json!({ "response": response("r1", &json!([message("Sorry!")])) }));
    let empty = event("response.completed", json!({ "response": response("r1", &json!([])) }));
    let delta = event("response.output_text.delta", json!({ "delta": "Sorry!" }));
    let error = event("error", json!({ "message": "overloaded", "code": "server_error" }));
    let failed = json!({ "id": "r1", "status": "failed", "error": { "code": "rate_limit", "message": "too many" }, "output": [] });
    let failed = event("response.failed", json!({ "response": failed }));
    for (events, expected) in [
        (vec![&delta, &done], Ok("Sorry!")),
        (vec![&delta, &empty], Ok("Sorry!")),
        (vec![&delta], Err("the stream of events ended before the answer did")),
        (vec![&error], Err("overloaded (server_error)")),
        (vec![&failed], Err("too many (rate_limit)")),
    ] {
        let events: Vec<&str> = events.into_iter().map(String::as_str).collect();
        let server = ModelServer::answering([stream(&events)]).await;
        let answer = ask("openai_responses", with(chat(&server), json!({ "stream": true }))).await;
        match (&answer, expected) {
            (Ok(reply), Ok(words)) => assert_eq!(reply.content, words),
            (Err(failure), Err(words)) => assert!(failure.message.contains(words), "{failure}"),
            _ => panic!("{events:?}: {answer:?}"),
        }
    }
}
