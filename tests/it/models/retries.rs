//! What is tried again and what is not.

use serde_json::json;

use super::{chat, question, remote};
use crate::support::openai::{Answer, ModelServer};

fn refusal(status: u16) -> Answer {
    Answer::json(status, &json!({ "error": { "message": "come back later" } }))
}

#[tokio::test]
async fn a_limited_call_succeeds_once_the_provider_lets_it() {
    let server = ModelServer::answering([
        refusal(429).with_header("retry-after", "1"),
        refusal(503).with_header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        Answer::says("here you are"),
    ])
    .await;
    let reply = chat(remote("openai", &server.base_url()), &question()).await.unwrap();
    assert_eq!(reply.content, "here you are");
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[0].body, received[2].body, "the same is asked every time");
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let server = ModelServer::answering([Answer::CloseEarly, Answer::says("here you are")]).await;
    let reply = chat(remote("openai", &server.base_url()), &question()).await.unwrap();
    assert_eq!(reply.content, "here you are");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_failing_provider_is_tried_three_times_and_no_more() {
    let server = ModelServer::start(|_| refusal(500)).await;
    let failure = chat(remote("openai", &server.base_url()), &question()).await.unwrap_err();
    assert_eq!(
        failure.message,
        format!(
            "Provider 'p' at {} failed for model 'm' after 3 tries: HTTP 500 Internal Server Error: come back later",
            server.origin()
        )
    );
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_not_tried_again() {
    for status in [400, 401, 403, 404, 422] {
        let server = ModelServer::start(move |_| refusal(status)).await;
        let failure = chat(remote("openai", &server.base_url()), &question()).await.unwrap_err();
        assert!(failure.message.contains(&format!("after 1 try: HTTP {status} ")), "{failure}");
        assert_eq!(server.received().len(), 1, "{status}");
    }
}
