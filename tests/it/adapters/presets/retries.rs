//! When agents behind known protocols are asked again.

use serde_json::{Value, json};

use super::ask;
use super::hostile::configs;
use crate::adapters::stage::with;
use crate::adapters::table::{answering, json_of, reply, sse};
use crate::support::http_agent::Answer;

fn sure() -> Answer {
    json_of(200, &json!({ "choices": [{ "message": { "content": "Sure" } }] }))
}

fn broken() -> Answer {
    Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{".to_vec())
}

#[tokio::test]
async fn an_agent_is_asked_again_only_as_its_definition_says() {
    let idempotent = json!({ "idempotent": true });
    let cut_off = sse("data: {\"choices\": [{ \"delta\": { \"content\": \"Su\" } }]}\n\n").remove(0);
    for (name, retries, first, expected) in [
        ("nothing is said, 503", Value::Null, reply(503, &[], "busy"), (1, false)),
        ("503", json!({}), reply(503, &[], "busy"), (2, true)),
        ("429", json!({}), reply(429, &[("retry-after", "0")], "busy"), (2, true)),
        ("502 may have been dealt with", json!({}), reply(502, &[], ""), (1, false)),
        ("what is listed", json!({ "on": [500] }), reply(500, &[], ""), (2, true)),
        ("interrupted may have been dealt with", json!({}), broken(), (1, false)),
        ("interrupted, of what does no harm", idempotent.clone(), broken(), (2, true)),
        ("a stream that ends too early", idempotent.clone(), cut_off, (2, true)),
        ("closed without a word", idempotent.clone(), Answer::Raw(vec![]), (2, true)),
        ("an error in a good answer", idempotent, json_of(200, &json!({ "error": "x" })), (1, false)),
    ] {
        let agent = answering(vec![first, sure()]).await;
        let retries = if retries.is_null() { json!({}) } else { json!({ "retries": retries }) };
        let answer =
            ask("openai_chat", with(json!({ "url": agent.url(), "timeoutSeconds": 20 }), retries)).await;
        let requests = agent.requests();
        assert_eq!((requests.len(), answer.is_ok()), expected, "{name}: {answer:?}");
        assert!(
            requests.iter().all(|request| request.header("idempotency-key") == Some("run-1:2")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_protocol_is_tried_again_and_says_how_often_it_was() {
    for answer in [reply(503, &[], "busy"), Answer::Raw(vec![])] {
        let agent = answering(vec![answer]).await;
        let more = json!({ "retries": { "attempts": 3, "idempotent": true } });
        let mut configs = configs(agent.url());
        configs.push(("websocket", json!({ "url": agent.url().replace("http:", "ws:") })));
        for (kind, config) in configs {
            let before = agent.requests().len();
            let failure = ask(kind, with(config, more.clone())).await.unwrap_err();
            assert_eq!(agent.requests().len() - before, 3, "{kind}: {failure}");
            let asks_first = ["mcp", "websocket"].contains(&kind);
            assert!(asks_first || failure.hint.unwrap().ends_with("The agent was asked 3 times"), "{kind}");
        }
    }
}

#[tokio::test]
async fn an_agent_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    let agent = answering(vec![reply(429, &[("retry-after", "3600")], "busy")]).await;
    let failure = ask("openai_chat", json!({ "url": agent.url(), "retries": {} })).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), agent.requests().len()), ("http_status", 1));
    assert!(failure.hint.unwrap().contains("later than timeoutSeconds allows"));
}
