//! Whatever an agent sends, it becomes an answer or a failure that says what is wrong, and no secret gets out.

use serde_json::{Value, json};

use super::{KEY, ask};
use crate::adapters::stage::with;
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::protocols::{Rpc, events};

/// The presets that answer a request of HTTP, and the least that each has to say.
pub(super) fn configs(url: &str) -> Vec<(&'static str, Value)> {
    let config = |more: Value| {
        let auth = json!({ "type": "bearer", "token": "{{ secrets.KEY }}" });
        with(json!({ "url": url, "auth": auth, "timeoutSeconds": 10 }), more)
    };
    vec![
        ("a2a", config(json!({ "card": false }))),
        ("langgraph", config(json!({ "assistant": "a" }))),
        ("langgraph", config(json!({ "assistant": "a", "stream": true }))),
        ("mcp", config(json!({ "tool": "t" }))),
        ("openai_chat", config(json!({}))),
        ("openai_chat", config(json!({ "stream": true }))),
        ("openai_responses", config(json!({}))),
        ("openai_responses", config(json!({ "stream": true }))),
    ]
}

#[tokio::test]
async fn what_is_no_answer_of_the_protocol_is_told_apart() {
    let long = "x".repeat(5 * 1024 * 1024);
    let bodies: Vec<(Answer, &[&str])> = vec![
        (Answer::typed("text/html", "<html>It works!</html>"), &["http_invalid_response"]),
        (Answer::typed("application/json", "{\"a\":"), &["http_invalid_response"]),
        (Answer::typed("application/json", vec![0xff, 0xfe]), &["http_invalid_response"]),
        (Answer::json(&json!(5)), &["http_invalid_response"]),
        (Answer::json(&json!([])), &["http_invalid_response"]),
        (Answer::json(&json!({})), &["http_invalid_response", "output_path_no_match"]),
        (
            Answer::json(&json!({ "result": 5, "choices": 5, "output": 5, "messages": 5 })),
            &["http_invalid_response", "output_path_no_match"],
        ),
        (
            Answer::json(
                &json!({ "result": { "status": 5 }, "choices": [5], "output": [5], "messages": [5] }),
            ),
            &["http_invalid_response"],
        ),
        (
            Answer::json(
                &json!({ "result": { "parts": [{ "text": 5 }], "content": [{ "text": 5 }] }, "choices": [{ "message": { "content": 5 } }],
                "output": [{ "content": [{ "text": 5 }] }], "messages": [{ "type": 5 }] }),
            ),
            &["http_invalid_response"],
        ),
        (Answer::typed("text/event-stream", "data: garbage\n\n"), &["http_invalid_response"]),
        (Answer::typed("text/event-stream", "data: 5\n\n"), &["http_invalid_response"]),
        (Answer::typed("text/event-stream", ""), &["http_invalid_response"]),
        (Answer::typed("text/event-stream", format!("data: {long}\n\n")), &["http_response_too_large"]),
        (Answer::json(&json!(long)), &["http_response_too_large"]),
        (Answer::Endless { status: 200 }, &["http_response_too_large"]),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_vec()),
            &["http_invalid_response"],
        ),
        (
            Answer::Reset(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_vec()),
            &["http_invalid_response"],
        ),
        (Answer::Raw(vec![]), &["http_invalid_response", "http_unreachable"]),
        (Answer::status(503, "down for maintenance"), &["http_status"]),
    ];
    for (answer, codes) in bodies {
        let server = HttpAgent::start(move |_| answer.clone()).await;
        for (kind, config) in configs(server.url()) {
            let failure = ask(kind, config.clone()).await.expect_err(kind);
            assert!(codes.contains(&failure.code.as_ref()), "{kind} {config}: {} {failure}", failure.code);
            assert!(failure.message.len() < 4096, "{kind}: a message that nobody could read");
        }
    }
}

#[tokio::test]
async fn an_agent_that_hangs_costs_its_timeout_and_no_more() {
    let server = HttpAgent::start(|_| Answer::Hang).await;
    for (kind, config) in configs(server.url()) {
        let failure = ask(kind, with(config, json!({ "timeoutSeconds": 1 }))).await.unwrap_err();
        assert_eq!(failure.code, "http_timeout", "{kind}");
    }
}

#[tokio::test]
async fn a_task_that_never_ends_costs_its_timeout_and_no_more() {
    let server = HttpAgent::start(|request| {
        Rpc::Result(json!({ "kind": "task", "id": "t", "status": { "state": "working" } }))
            .answer(&request.json())
    })
    .await;
    let config = json!({ "url": server.url(), "card": false, "timeoutSeconds": 1 });
    assert_eq!(ask("a2a", config).await.unwrap_err().code, "http_timeout");
}

/// What says `text` in each protocol, or fails with it.
fn saying(text: &str, fails: bool) -> Vec<Answer> {
    if fails {
        let error = json!({ "error": { "code": -1, "message": text }, "__error__": { "error": "E", "message": text } });
        return vec![
            Answer::status(500, text),
            Answer::json(&error),
            Answer::typed("application/json", text),
        ];
    }
    let call =
        json!({ "id": "c", "function": { "name": "t", "arguments": json!({ "k": text }).to_string() } });
    let state = json!({
        "result": { "parts": [{ "text": text }], "content": [{ "type": "text", "text": text }] },
        "choices": [{ "message": { "content": text, "tool_calls": [call] } }],
        "output": [{ "type": "message", "content": [{ "type": "output_text", "text": text }] }],
        "messages": [{ "type": "ai", "content": text, "tool_calls": [{ "name": "t", "args": { "k": text } }] }],
    });
    vec![Answer::json(&state)]
}

#[tokio::test]
async fn an_agent_that_echoes_its_credentials_puts_them_nowhere() {
    for fails in [false, true] {
        for index in 0..saying("", fails).len() {
            let server = HttpAgent::start(move |request| {
                let echo = format!("you sent {}", request.header("authorization").unwrap());
                saying(&echo, fails).swap_remove(index)
            })
            .await;
            for (kind, config) in configs(server.url()) {
                let shown = format!("{:?}", ask(kind, config).await);
                assert!(!shown.contains(KEY.1), "{kind}: {shown}");
                assert!(shown.contains("[redacted]") || fails, "{kind}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_in_a_stream_is_taken_out_of_what_it_comes_to() {
    let server = HttpAgent::start(|request| {
        let (begin, end) = request.header("authorization").unwrap().split_at(10);
        let piece =
            |text: &str| json!({ "choices": [{ "delta": { "content": text }, "finish_reason": "stop" }] });
        events([("", piece(begin)), ("", piece(end))])
    })
    .await;
    let auth = json!({ "type": "bearer", "token": "{{ secrets.KEY }}" });
    let reply =
        ask("openai_chat", json!({ "url": server.url(), "auth": auth, "stream": true })).await.unwrap();
    assert_eq!(reply.content, "Bearer [redacted]");
}
