//! When HTTP agents are asked again.

use scenario_worker::definitions::Secrets;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::stage::{LINE, THREAD, ask, dialogue, http_adapter, take_turn, with};
use super::table::{answering, json_of, play_one, reply};
use crate::support::http_agent::Answer;
use crate::support::spans::Recorded;

fn busy(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    reply(status, headers, "busy")
}

fn sure() -> Answer {
    json_of(200, &json!("Sure"))
}

fn interrupted() -> Answer {
    Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec())
}

/// How often the agent is asked, and whether it answers in the end.
async fn asked(config: Value, answers: Vec<Answer>) -> (usize, bool) {
    let (reply, requests) = play_one(config, answers).await;
    (requests.len(), reply.is_ok())
}

#[tokio::test]
async fn an_agent_is_asked_again_only_as_its_definition_says() {
    let retries = |retries: Value| json!({ "retries": retries });
    let idempotent = json!({ "idempotent": true });
    let late = json!({ "firstByteTimeoutSeconds": 1 });
    for (name, config, first, expected) in [
        ("nothing is said, 503", json!({}), busy(503, &[]), (1, false)),
        ("nothing is said, 429", json!({}), busy(429, &[("retry-after", "0")]), (1, false)),
        ("nothing is said, GET", json!({ "method": "GET" }), busy(503, &[]), (1, false)),
        ("nothing is said, interrupted", json!({}), interrupted(), (1, false)),
        ("nothing is said, closed without a word", json!({}), Answer::Raw(vec![]), (1, false)),
        ("503", retries(json!({})), busy(503, &[]), (2, true)),
        ("429", retries(json!({})), busy(429, &[]), (2, true)),
        ("502 may have been dealt with", retries(json!({})), busy(502, &[]), (1, false)),
        ("502 of what does no harm", retries(idempotent.clone()), busy(502, &[]), (2, true)),
        ("502 of a PUT", with(retries(json!({})), json!({ "method": "PUT" })), busy(502, &[]), (2, true)),
        ("500 is no passing trouble", retries(idempotent.clone()), busy(500, &[]), (1, false)),
        ("400 is no passing trouble", retries(idempotent.clone()), busy(400, &[]), (1, false)),
        ("what is listed", retries(json!({ "on": [500] })), busy(500, &[]), (2, true)),
        ("a listed hundred", retries(json!({ "on": ["5xx"] })), busy(507, &[]), (2, true)),
        ("what is not listed", retries(json!({ "on": [500] })), busy(503, &[]), (1, false)),
        ("interrupted may have been dealt with", retries(json!({})), interrupted(), (1, false)),
        ("interrupted, listed", retries(json!({ "on": ["interrupted"] })), interrupted(), (2, true)),
        ("reset, of what does no harm", retries(idempotent.clone()), Answer::Reset(vec![]), (2, true)),
        ("late may be dealt with", with(retries(json!({})), late.clone()), Answer::Hang, (1, false)),
        ("late, listed", with(retries(json!({ "on": ["timeout"] })), late), Answer::Hang, (2, true)),
        (
            "an error in a good answer",
            with(retries(idempotent.clone()), json!({ "status": { "errorPath": "$.error" } })),
            json_of(200, &json!({ "error": "x" })),
            (1, false),
        ),
        (
            "a reply that cannot be read",
            with(retries(idempotent), json!({ "outputPath": "$.a" })),
            sure(),
            (1, false),
        ),
    ] {
        assert_eq!(asked(config, vec![first, sure()]).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_request_on_a_kept_connection_that_is_closed_goes_out_once_more() {
    for (name, config, again) in [
        ("a question", json!({}), true),
        ("a look", json!({ "method": "GET" }), true),
        ("what may not be sent twice", json!({ "onUnknown": "fail" }), false),
    ] {
        let agent = answering(vec![Answer::Kept("Sure")]).await;
        let config = with(config, json!({ "url": agent.url(), "timeoutSeconds": 20 }));
        let adapter = http_adapter(config, Secrets::new(), json!({})).await.unwrap();
        let turn = || async {
            let recorded = Recorded::default();
            take_turn(adapter.as_ref(), &dialogue(LINE), &recorded).await
        };
        // Whether a connection is free again when the next turn begins is the client's affair: at last one is.
        let mut turns = 1;
        let mut reply = turn().await;
        while reply.is_ok() && agent.requests().len() == turns {
            turns += 1;
            reply = turn().await;
        }
        let requests = agent.requests();
        let sent_again = requests.len() - turns;
        assert_eq!((reply.is_ok(), sent_again), (again, usize::from(again)), "{name}: {reply:?}");
        let last = &requests[requests.len() - 1 - sent_again..];
        assert!(last.iter().all(|request| request.header("idempotency-key") == Some("run-1:2")), "{name}");
    }
}

#[tokio::test]
async fn every_attempt_is_the_same_request_under_the_same_key() {
    let config = json!({ "retries": { "attempts": 3 }, "bodyTemplate": "{\"q\": {{ input }}}" });
    let (reply, requests) = play_one(config, vec![busy(503, &[]), busy(429, &[]), sure()]).await;
    assert_eq!((reply.unwrap().content.as_str(), requests.len()), ("Sure", 3));
    for request in &requests {
        assert_eq!(request.header("idempotency-key"), Some(format!("{THREAD}:2").as_str()));
        assert_eq!((request.method.as_str(), &request.body), ("POST", &requests[0].body));
    }
}

#[tokio::test]
async fn an_agent_that_stays_busy_is_told_with_how_often_it_was_asked() {
    let (reply, requests) = play_one(json!({ "retries": { "attempts": 3 } }), vec![busy(503, &[])]).await;
    let failure = reply.unwrap_err();
    assert_eq!((failure.code.as_ref(), requests.len()), ("http_status", 3));
    assert!(failure.message.starts_with("HTTP 503 Service Unavailable from "), "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("The agent was asked 3 times"));
}

#[tokio::test]
async fn an_agent_is_asked_again_when_it_says() {
    for when in ["0", "1", "Sun, 06 Nov 1994 08:49:37 GMT", "soon"] {
        let config = json!({ "retries": { "attempts": 2 } });
        let answers = vec![busy(429, &[("retry-after", when)]), sure()];
        assert_eq!(asked(config, answers).await, (2, true), "{when}");
    }
}

#[tokio::test]
async fn an_agent_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    for when in ["3600", "Wed, 01 Jan 2200 00:00:00 GMT"] {
        let answers = vec![busy(429, &[("retry-after", when)]), sure()];
        let (reply, requests) = play_one(json!({ "retries": {} }), answers).await;
        let failure = reply.unwrap_err();
        assert_eq!((failure.code.as_ref(), requests.len()), ("http_status", 1));
        assert!(failure.hint.unwrap().contains("later than timeoutSeconds allows"));
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = ask(json!({ "url": url, "retries": { "attempts": 2 } })).await.unwrap_err();
    assert_eq!(failure.code, "http_unreachable");
    assert!(failure.hint.unwrap().ends_with("The agent was asked 2 times"));
}

#[tokio::test]
async fn attempts_end_with_the_time_for_the_whole_turn() {
    let agent = answering(vec![busy(503, &[("retry-after", "1")])]).await;
    let config = json!({ "url": agent.url(), "timeoutSeconds": 2, "retries": { "attempts": 10 } });
    let failure = ask(config).await.unwrap_err();
    assert_eq!(failure.code, "http_status", "the agent's own words are told");
    assert!(agent.requests().len() <= 2);
}
